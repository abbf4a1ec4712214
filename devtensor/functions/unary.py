"""Each number by itself, in PyTorch's spellings: limits, rounding, signs, angles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import BOOL, COMPLEX, FLOAT, INTEGER, finfo
from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.holding import held
from devtensor.core.inplace import apply_inplace
from devtensor.core.naming import named
from devtensor.core.rules import literal_operand
from devtensor.core.tensor import Tensor
from devtensor.functions.arithmetic import inplace_form, number
from devtensor.functions.comparing import result_type
from devtensor.functions.formats import copied
from devtensor.functions.out import into, into_exactly
from devtensor.ops import combine, compare, elementwise, parts, probability, refused
from devtensor.ops import functions as real
from devtensor.ops.create import cast

__all__ = [
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "deg2rad",
    "frac",
    "heaviside",
    "isneginf",
    "isposinf",
    "logit",
    "nan_to_num",
    "rad2deg",
    "round",
    "signbit",
]


def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:
    """`input` held between `min` and `max`, numbers or tensors.

    Errors: ArgumentError if neither is given.
    """
    _some_limit(min, max)
    exact = not isinstance(min, Tensor) and not isinstance(max, Tensor)
    return (into_exactly if exact else into)(out, combine.clamp(input, *_limits(input, min, max)))


def clamp_(self: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """In-place form of `clamp`."""
    _some_limit(min, max)
    return apply_inplace(combine.clamp.op, self, _limits(self, min, max), ())


def _some_limit(min: Any, max: Any) -> None:
    if min is None and max is None:
        raise ArgumentError("[clamp] At least one of 'min' or 'max' must not be None")
    tensors = isinstance(min, Tensor) and isinstance(max, Tensor)
    if not tensors and min is not None and max is not None and _is_field(min) is not _is_field(max):
        raise ArgumentTypeError(
            f"[clamp] received an invalid combination of arguments - got ({type(min).__name__}, "
            f"{type(max).__name__}); both limits must be numbers, or both Tensors"
        )


# A Python number of each kind.
KINDS = {BOOL: False, INTEGER: 0, FLOAT: 0.0, COMPLEX: 0j}


def _limits(input: Tensor, min: Any, max: Any) -> tuple:
    """The limits as the op takes them; a tensor beside a number counts as a number does in promotion."""
    least, most = _in_range(input, number(min)), _in_range(input, number(max))
    if isinstance(least, Tensor) is isinstance(most, Tensor) or least is None or most is None:
        return least, most
    return tuple(
        cast(limit, result_type(input, KINDS[limit.dtype.category])) if isinstance(limit, Tensor) else limit
        for limit in (least, most)
    )


def _in_range(input: Tensor, limit: Any) -> Any:
    """A limit that does not change the dtype of the result must be a number of it."""
    if limit is None or isinstance(limit, Tensor):
        return limit
    dtype = input.kind.dtype
    unchanged = dtype.category == FLOAT and limit.__class__ is not complex
    if unchanged or literal_operand(type(limit)).dtype.category <= dtype.category:
        return held("clamp", limit, dtype)
    return limit


def _is_field(limit: Any) -> bool:
    """Whether a limit differs from place to place: one tensor without dims stands for a number."""
    return isinstance(limit, Tensor) and limit.array.ndim > 0


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """`input`, but at least `min`."""
    return clamp(input, min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """`input`, but at most `max`."""
    return clamp(input, None, max)


def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """`input` rounded to `decimals` places, halves to the even digit."""
    if not decimals:
        return into_exactly(out, elementwise.round(input))
    scale = 10.0 ** abs(decimals)
    made = (
        elementwise.round(input * scale) / scale if decimals > 0 else elementwise.round(input / scale) * scale
    )
    return into_exactly(out, made)


def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN and infinities replaced by numbers; without one, infinities become the dtype's limits."""
    for name, value in (("nan", nan), ("posinf", posinf), ("neginf", neginf)):
        if value is not None and not isinstance(number(value), (int, float)):
            raise ArgumentTypeError(
                f"[nan_to_num] argument '{name}' must be a float, not {type(value).__name__}: {value}"
            )
    if input.dtype.is_complex:
        return parts.complex(*[nan_to_num(p, nan, posinf, neginf) for p in (input.real, input.imag)])
    if input.dtype.category != FLOAT:
        return copied("nan_to_num", input, "preserve_format")
    limits = finfo.of(input.dtype)
    made = compare.where(compare.isnan(input), 0.0 if nan is None else float(nan), input)
    made = compare.where(isposinf(made), limits.max if posinf is None else float(posinf), made)
    return compare.where(isneginf(made), limits.min if neginf is None else float(neginf), made)


def isposinf(input: Tensor) -> Tensor:
    """Whether `input` is positive infinity."""
    return compare.eq(input, float("inf"))  # type: ignore[return-value]


def isneginf(input: Tensor) -> Tensor:
    """Whether `input` is negative infinity."""
    return compare.eq(input, float("-inf"))  # type: ignore[return-value]


def signbit(input: Tensor) -> Tensor:
    """Whether the sign is negative, that of a zero too."""
    if input.dtype.category != FLOAT:
        return compare.lt(input, 0)  # type: ignore[return-value]
    negative_zero = compare.logical_and(compare.eq(input, 0), compare.lt(real.reciprocal(input), 0))
    return compare.logical_or(compare.lt(input, 0), negative_zero)


def frac(input: Tensor) -> Tensor:
    """What remains of `input` without its whole part."""
    return input - elementwise.trunc(input)


def _inverse(name: str) -> Callable:
    """The in-place form of an inverse hyperbolic function."""

    def inplace(self: Tensor) -> Tensor:
        return apply_inplace(refused.inverse_hyperbolic.op, self, (), (name,))

    return named(inplace, f"{name}_", f"In-place form of `{name}`.")


def deg2rad(input: Tensor) -> Tensor:
    """Degrees as radians."""
    return _tensor("deg2rad", input) * (math.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    """Radians as degrees."""
    return _tensor("rad2deg", input) * (180 / math.pi)


def _tensor(op: str, input: Any) -> Tensor:
    if not isinstance(input, Tensor):
        raise ArgumentTypeError(f"[{op}] argument 'input' must be a Tensor, not {type(input).__name__}")
    return input


clip, heaviside, logit = clamp, refused.heaviside, probability.logit
METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        clamp, clamp_, clamp_max, clamp_min, deg2rad, frac, heaviside, isneginf, isposinf, logit, nan_to_num,
        rad2deg, round, signbit,
    )
} | {
    f"{f.__name__}_": inplace_form(f)
    for f in (clamp_max, clamp_min, deg2rad, frac, nan_to_num, rad2deg, round)
} | {"clip": clamp, "clip_": clamp_} | {f"{name}_": _inverse(name) for name in refused.INVERSES}  # fmt: skip
