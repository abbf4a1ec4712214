"""Bodies by formula: this module is the namespace that devtensor.formulas is computed over."""

from __future__ import annotations

import sys
from typing import Any

from devtensor.core.dtype import float32, float64
from devtensor.ops.compare import isfinite, isinf, isnan, where
from devtensor.ops.create import cast, full
from devtensor.ops.elementwise import ceil, floor, trunc
from devtensor.ops.elementwise import round as rint
from devtensor.ops.extremes import maximum, minimum
from devtensor.ops.functions import cos, exp, expm1, log, log1p, sin, sqrt
from devtensor.ops.hyperbolic import cosh, sinh, tan
from devtensor.ops.numbers import copysign as with_sign
from devtensor.ops.parts import abs as absolute


def copysign(size: Any, sign: Any) -> Any:
    """The size of a tensor, or of a number, with the signs of a tensor."""
    if not hasattr(size, "kind"):
        size = full((), size, sign.kind.dtype, sign.kind.device)
    return with_sign(size, sign)


def by_formula(name: str, input: Any) -> Any:
    """The formula of that name, in float64 where the device holds it, rounded once to the input's dtype."""
    # Loaded when first asked for: its tables are computed then.
    from devtensor.formulas import FORMULAS

    kind = input.kind
    wide = float64 if "float64" in kind.device.backend.dtypes else float32
    return cast(FORMULAS[name](sys.modules[__name__], cast(input, wide)), kind.dtype)


__all__ = [
    "absolute",
    "by_formula",
    "ceil",
    "copysign",
    "cos",
    "cosh",
    "exp",
    "expm1",
    "floor",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "rint",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "trunc",
    "where",
]
