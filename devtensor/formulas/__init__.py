"""Special functions from published approximations, over any namespace of functions of one number.

A formula's first parameter is that namespace: an array library, for the kernels that a backend may take
(`backend/arraylib/special.py`), or devtensor's own ops, for the bodies (`ops/formulas.py`). So each is
written once. They expect float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.formulas import bessel, error_functions, gamma, modified_bessel

FORMULAS: dict[str, Callable[..., Any]] = {
    "erf": error_functions.erf,
    "erfc": error_functions.erfc,
    "erfcx": error_functions.erfcx,
    "erfinv": error_functions.erfinv,
    "ndtri": error_functions.ndtri,
    "lgamma": gamma.lgamma,
    "digamma": gamma.digamma,
    "i0e": modified_bessel.scaled_bessel(0),
    "i1e": modified_bessel.scaled_bessel(1),
    "bessel_j0": bessel.first_kind(0),
    "bessel_j1": bessel.first_kind(1),
    "bessel_y0": bessel.second_kind(0),
    "bessel_y1": bessel.second_kind(1),
    "scaled_modified_bessel_k0": bessel.scaled_second_kind(0),
    "scaled_modified_bessel_k1": bessel.scaled_second_kind(1),
    "airy_ai": bessel.airy_ai,
}
"""The formula of each op that has one."""
