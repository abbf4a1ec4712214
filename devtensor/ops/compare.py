"""Questions about numbers: comparisons, logic, bits, and choosing by the answer."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import Any

from devtensor.core.op import MOVED, OWN, Mask, Plain, composite, primitive
from devtensor.core.rules import boolean, broadcast, integral, promoted
from devtensor.ops.create import cast, zeros_like_spec
from devtensor.ops.examples import case, fails, mask, pairs, singles


@primitive(dtype=promoted, shape=broadcast, complex=MOVED)
def where(condition: Mask, input, other):
    """`input` where `condition` holds, else `other`.

    Shapes: condition (*C), input (*A), other (*B) -> broadcast(*C, *A, *B)
    Errors: DTypeError unless condition is bool.
    """


where.vjp(
    input=lambda g, condition: where(condition, g, 0.0),
    other=lambda g, condition: where(condition, 0.0, g),
)


@where.examples
def _(make):
    for a, b, c in (((), (), ()), ((3, 4), (3, 4), (3, 4)), ((3, 1), (4,), ()), ((2, 0), (1, 0), (2, 1))):
        yield case(mask(*a), make(*b), make(*c))
    yield case(mask(3, 4), make(3, 4, layout="transposed"), 0.5)
    yield fails(mask(3), make(4), make(4), error=r"\(3,\).*broadcast")
    yield fails(make(3), make(3), make(3), error="condition.*needs bool")


comparison = partial(primitive, dtype=boolean, shape=broadcast)
derived = partial(composite, dtype=boolean, shape=broadcast)


@comparison(operator="==", complex=OWN)
def eq(input, other):
    """Whether `input` equals `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


@derived(operator="!=", complex=OWN)
def ne(input, other):
    """Whether `input` differs from `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    return bitwise_not(eq(input, other))


@comparison(operator="<")
def lt(input, other):
    """Whether `input` is less than `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


@derived(operator="<=")
def le(input, other):
    """Whether `input` is at most `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    return bitwise_or(lt(input, other), eq(input, other))


@derived(operator=">")
def gt(input, other):
    """Whether `input` is greater than `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    return lt(other, input)


@derived(operator=">=")
def ge(input, other):
    """Whether `input` is at least `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    return le(other, input)


COMPARISONS = {entry.op.name: entry for entry in (eq, ne, lt, le, gt, ge)}


@composite(dtype=promoted, shape=broadcast, complex=OWN)
def compared(one, other, comparison: Plain):
    """What the comparison of that name answers, as 1 and 0 in the common dtype, as in-place forms write it.

    Shapes: one (*A), other (*B) -> broadcast(*A, *B)
    """
    answer = COMPARISONS[comparison](one, other)
    return cast(answer, one.kind.dtype)


compared.vjp(
    one=lambda like: zeros_like_spec(like.one),
    other=lambda like: zeros_like_spec(like.other),
)


@compared.examples
def _(make):
    yield case(make(3, 4), make(4), comparison="eq")
    yield case(make(3), 1, comparison="ne")
    yield case(make(), make(), comparison="ne")
    yield case(make(2, 0), make(2, 1), comparison="eq")
    yield case(make(3, 4, layout="transposed"), make(3, 4), comparison="ne")
    yield case(make(3, 4, dtype="float64"), make(3, 1, dtype="int64"), comparison="lt")


logical = partial(composite, dtype=boolean, shape=broadcast, complex=OWN)


def _truth(value: Any) -> Any:
    """Whether a tensor's elements, or a number, are non-zero."""
    return ne(value, 0) if hasattr(value, "array") else bool(value)


@logical()
def logical_and(input, other):
    """Whether both are non-zero.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    return bitwise_and(_truth(input), _truth(other))


@logical()
def logical_or(input, other):
    """Whether either is non-zero.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    return bitwise_or(_truth(input), _truth(other))


@logical()
def logical_xor(input, other):
    """Whether exactly one is non-zero.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    return ne(_truth(input), _truth(other))


for _op in (eq, ne, lt, le, gt, ge, logical_and, logical_or, logical_xor):
    _op.vjp(None)
    _op.examples(pairs())

bitwise = partial(primitive, dtype=integral, shape=broadcast, inplace=True)


@bitwise(operator="&")
def bitwise_and(input, other):
    """Bits set in both; of bools, whether both are true.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Errors: DTypeError for floating point.
    """


@bitwise(operator="|")
def bitwise_or(input, other):
    """Bits set in either; of bools, whether either is true.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Errors: DTypeError for floating point.
    """


@bitwise(operator="^")
def bitwise_xor(input, other):
    """Bits set in exactly one; of bools, whether they differ.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Errors: DTypeError for floating point.
    """


@bitwise(operator="<<")
def bitwise_left_shift(input, other):
    """Bits moved up by `other` places.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Errors: DTypeError for floating point.
    """


@bitwise(operator=">>")
def bitwise_right_shift(input, other):
    """Bits moved down by `other` places, keeping the sign.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Errors: DTypeError for floating point.
    """


for _op in (bitwise_and, bitwise_or, bitwise_xor):
    _op.vjp(None)
    _op.examples(pairs(low=0, high=9, dtype="int32"))
for _op in (bitwise_left_shift, bitwise_right_shift):
    _op.vjp(None)
    _op.examples(pairs(left_low=-40, left_high=40, right_low=0, right_high=7, dtype="int64"))


@logical()
def isnan(input):
    """Whether `input` is not a number.

    Shapes: input (*S) -> (*S)
    """
    return ne(input, input)


@logical()
def isinf(input):
    """Whether `input` is infinite.

    Shapes: input (*S) -> (*S)
    """
    if input.kind.dtype.is_complex:
        return bitwise_or(isinf(input.real), isinf(input.imag))
    return bitwise_or(eq(input, inf), eq(input, -inf))


@logical()
def isfinite(input):
    """Whether `input` is neither infinite nor NaN.

    Shapes: input (*S) -> (*S)
    """
    return bitwise_not(bitwise_or(isinf(input), isnan(input)))


@logical()
def logical_not(input):
    """Whether `input` is zero.

    Shapes: input (*S) -> (*S)
    """
    return eq(input, 0)


@bitwise(operator="~")
def bitwise_not(input):
    """Every bit changed; of bools, the opposite.

    Shapes: input (*S) -> (*S)
    Errors: DTypeError for floating point.
    """


for _op in (isnan, isinf, isfinite, logical_not):
    _op.vjp(None)
    _op.examples(singles())
bitwise_not.vjp(None)
bitwise_not.examples(singles(low=-9, high=9, dtype="int32"))
