"""Ops of three operands: interpolation, products and quotients added on, limits."""

from __future__ import annotations

from builtins import abs as _abs
from typing import Any

from devtensor.core.errors import DTypeError
from devtensor.core.op import HOLOMORPHIC, composite
from devtensor.core.rules import TENSOR, broadcast, floating, only_floating, promoted
from devtensor.core.tensor import Tensor
from devtensor.ops.compare import where
from devtensor.ops.examples import case, fails
from devtensor.ops.extremes import maximum, minimum
from devtensor.ops.parts import abs


def _ends_alike(op, operands, params):
    """Like `floating`, of ends of one dtype, and of a weight that has it too, unless it is one number.

    Errors: DTypeError for others.
    """
    start, end, weight = operands
    checked = {"end": end} if weight.level < TENSOR else {"end": end, "weight": weight}
    for name, other in checked.items():
        if other.dtype is not start.dtype:
            raise DTypeError(
                f"[{op}] expected dtype {start.dtype.name} for `{name}` but got dtype {other.dtype.name}; "
                "convert it with .to(dtype)"
            )
    return floating(op, operands, params)


@composite(dtype=_ends_alike, shape=broadcast, inplace=True, complex=HOLOMORPHIC)
def lerp(input, end, weight):
    """The point `weight` of the way from `input` to `end`; exact at both ends.

    Shapes: input (*A), end (*B), weight (*C) -> broadcast(*A, *B, *C)
    """
    way = end - input
    if not isinstance(weight, Tensor):
        return input + way * weight if _abs(weight) < 0.5 else end - way * (1 - weight)
    return where(abs(weight) < 0.5, input + way * weight, end - way * (1 - weight))


lerp.vjp(
    input=lambda g, weight: g * (1 - weight),
    end=lambda g, weight: g * weight,
    weight=lambda g, input, end: g * (end - input),
)


@lerp.examples
def _(make):
    yield case(make(3, 4), make(3, 4), 0.1)
    yield case(make(3, 4), make(4), 0.9)
    yield case(make(3, 4, layout="transposed"), make(3, 4), make(3, 1))
    yield case(make(), make(), make())
    yield case(make(2, 0), make(1, 0), 0.5)
    yield fails(make(3), make(4), 0.5, error=r"\(3,\).*\(4,\).*broadcast")


@composite(dtype=only_floating, shape=broadcast, inplace=True, complex=HOLOMORPHIC)
def add_scaled(input, other, alpha):
    """`input` plus `alpha` times `other`, rounded once where the backend has a kernel.

    Shapes: input (*A), other (*B), alpha (*C) -> broadcast(*A, *B, *C)
    Errors: DTypeError for bool and integers.
    """
    return input + other * alpha


@composite(dtype=only_floating, shape=broadcast, inplace=True, complex=HOLOMORPHIC)
def sub_scaled(input, other, alpha):
    """`input` less `alpha` times `other`, rounded once where the backend has a kernel.

    Shapes: input (*A), other (*B), alpha (*C) -> broadcast(*A, *B, *C)
    Errors: DTypeError for bool and integers.
    """
    return input - other * alpha


add_scaled.vjp(input=lambda g: g, other=lambda g, alpha: g * alpha, alpha=lambda g, other: g * other)
sub_scaled.vjp(input=lambda g: g, other=lambda g, alpha: g * -alpha, alpha=lambda g, other: g * -other)


def _scaled_terms(make):
    yield case(make(3, 4), make(3, 4), 0.5)
    yield case(make(3, 4, layout="transposed"), make(4), -2.0)
    yield case(make(), make(3, 1), make())
    yield case(make(2, 0), make(1, 0), 0.5)
    yield fails(make(3), make(4), 0.5, error=r"\(3,\).*\(4,\).*broadcast")


add_scaled.examples(_scaled_terms)
sub_scaled.examples(_scaled_terms)


@composite(dtype=promoted, shape=broadcast, amp="widest", inplace=True, complex=HOLOMORPHIC)
def addcmul(input, tensor1, tensor2, value):
    """`input` plus `value` times the product of `tensor1` and `tensor2`.

    Shapes: input (*A), tensor1 (*B), tensor2 (*C), value () -> broadcast(*A, *B, *C)
    """
    return input + _scaled(tensor1, value) * tensor2


@composite(dtype=floating, shape=broadcast, amp="widest", inplace=True, complex=HOLOMORPHIC)
def addcdiv(input, tensor1, tensor2, value):
    """`input` plus `value` times the quotient of `tensor1` and `tensor2`.

    Shapes: input (*A), tensor1 (*B), tensor2 (*C), value () -> broadcast(*A, *B, *C)
    """
    return input + _scaled(tensor1, value) / tensor2


def _scaled(term: Any, value: Any) -> Any:
    return term if value.__class__ is int and value == 1 else term * value


addcmul.vjp(
    input=lambda g: g,
    tensor1=lambda g, tensor2, value: g * (tensor2 * value),
    tensor2=lambda g, tensor1, value: g * (tensor1 * value),
    value=lambda g, tensor1, tensor2: g * (tensor1 * tensor2),
)
addcdiv.vjp(
    input=lambda g: g,
    tensor1=lambda g, tensor2, value: g * (value / tensor2),
    tensor2=lambda g, tensor1, tensor2, value: -g * (value * ((tensor1 / tensor2) / tensor2)),
    value=lambda g, tensor1, tensor2: g * (tensor1 / tensor2),
)


def _weighted(make):
    yield case(make(3, 4), make(3, 4), make(3, 4, apart=0.3), 0.5)
    yield case(make(3, 4), make(4), make(3, 1, apart=0.3), 1)
    yield case(make(3, 4, layout="transposed"), make(), make(3, 4, apart=0.3), -2)
    yield case(make(), make(), make(apart=0.3), make())
    yield case(make(2, 0), make(2, 0), make(1, 0), 1)
    yield fails(make(3), make(4), make(3), 1, error=r"\(3,\).*\(4,\).*broadcast")


addcmul.examples(_weighted)
addcdiv.examples(_weighted)


@composite(dtype=promoted, shape=broadcast, inplace=True)
def clamp(input, min, max):
    """`input` held between `min` and `max`, either of which may be None; NaN stays; `max` wins over `min`.

    Shapes: input (*A), min (*B), max (*C) -> broadcast(*A, *B, *C)
    """
    if min is not None:
        input = maximum(input, min)
    return input if max is None else minimum(input, max)


def _clamp_input(g: Any, input: Any, min: Any, max: Any) -> Any:
    """The gradient where neither limit was passed; on a limit it flows, as in PyTorch."""
    if min is None and max is None:
        return g
    inside = True
    if min is not None:
        inside = input >= min
    if max is not None:
        inside = inside & (input <= max)
    return where(inside, g, 0.0)


def _clamp_min(g: Any, input: Any, min: Any, max: Any) -> Any:
    """What lies below `min` takes it as its value, unless `max` is lower still."""
    below = input < min
    return where(below if max is None else below & (min < max), g, 0.0)


def _clamp_max(g: Any, input: Any, min: Any, max: Any) -> Any:
    """What lies above `max`, or would be raised to a `min` above it, takes it as its value."""
    above = input > max
    return where(above if min is None else above | (max < min), g, 0.0)


clamp.vjp(input=_clamp_input, min=_clamp_min, max=_clamp_max)


@clamp.examples
def _(make):
    yield case(make(3, 4, apart=0.1), -1.05, 1.05)
    yield case(make(3, 4, apart=0.1), 0, None)
    yield case(make(3, 4, layout="transposed", apart=0.1), None, 0)
    yield case(make(3, 4), make(3, 1, low=-3, high=-2.5), make(4, low=2.5, high=3))
    yield case(make(3, 4, low=-1, high=1), make(3, 4, low=2, high=3), None)
    yield case(make(3, 4, low=-1, high=1), None, make(3, 4, low=-3, high=-2))
    yield case(make(), make(low=-3, high=-2.5), None)
    yield case(make(2, 0), 0, 1)
    yield fails(make(3), make(4), None, error=r"\(3,\).*\(4,\).*broadcast")
