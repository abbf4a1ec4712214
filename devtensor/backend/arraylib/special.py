"""Special functions by their formulas, for libraries that have none of their own.

All is computed in float64 and rounded once to the input's dtype, but erf of float32, whose speed matters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.backend.arraylib.elementwise import layout
from devtensor.backend.arraylib.incomplete_gamma import igamma, igammac
from devtensor.backend.arraylib.library import Library
from devtensor.backend.arraylib.zeta import zeta
from devtensor.backend.protocol import Array, Kernel
from devtensor.formulas import FORMULAS
from devtensor.formulas.error_functions import erf_single

# Sums of so many terms that they are no body.
SUMS: dict[str, Callable[..., Any]] = {"zeta": zeta, "igamma": igamma, "igammac": igammac}


def kernels(lib: Library) -> dict[str, Kernel]:
    """The special functions."""
    table = {name: in_float64(lib, function) for name, function in (FORMULAS | SUMS).items()}
    precise, float32 = table["erf"], lib.dtypes["float32"]

    def either_erf(x: Array) -> Array:
        return erf_single(lib.xp, x) if x.dtype == float32 else precise(x)

    return table | {"erf": either_erf}


def in_float64(lib: Library, function: Callable[..., Array]) -> Kernel:
    """The function computed in float64 and rounded to the inputs' dtype."""
    xp, asarray = lib.xp, lib.xp.asarray
    float64 = lib.dtypes["float64"]

    def kernel(*arrays: Array) -> Array:
        wide = [x.astype(float64, order=layout(x)) for x in arrays]
        return asarray(function(xp, *wide)).astype(arrays[0].dtype)

    return kernel
