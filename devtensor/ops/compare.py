"""Questions about numbers: comparisons, logic, bits, and choosing by the answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from devtensor.core.op import MOVED, OWN, Mask, primitive
from devtensor.core.rules import boolean, broadcast, integral, promoted
from devtensor.ops.examples import case, fails, mask, pairs, singles


@primitive(dtype=promoted, shape=broadcast, amp="widest", complex=MOVED)
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


def _comparison(symbol: str | None, complex: str | None = None) -> Callable:
    return primitive(dtype=boolean, shape=broadcast, amp="widest", operator=symbol, complex=complex)


@_comparison("==", complex=OWN)
def eq(input, other):
    """Whether `input` equals `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


@_comparison("!=", complex=OWN)
def ne(input, other):
    """Whether `input` differs from `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


@_comparison("<")
def lt(input, other):
    """Whether `input` is less than `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


@_comparison("<=")
def le(input, other):
    """Whether `input` is at most `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


@_comparison(">")
def gt(input, other):
    """Whether `input` is greater than `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


@_comparison(">=")
def ge(input, other):
    """Whether `input` is at least `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


logical = partial(primitive, dtype=boolean, shape=broadcast, complex=OWN)


@logical()
def logical_and(input, other):
    """Whether both are non-zero.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


@logical()
def logical_or(input, other):
    """Whether either is non-zero.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


@logical()
def logical_xor(input, other):
    """Whether exactly one is non-zero.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


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


@primitive(dtype=boolean, shape=broadcast, complex=OWN)
def isnan(input):
    """Whether `input` is not a number.

    Shapes: input (*S) -> (*S)
    """


@primitive(dtype=boolean, shape=broadcast, complex=OWN)
def isinf(input):
    """Whether `input` is infinite.

    Shapes: input (*S) -> (*S)
    """


@primitive(dtype=boolean, shape=broadcast, complex=OWN)
def isfinite(input):
    """Whether `input` is neither infinite nor NaN.

    Shapes: input (*S) -> (*S)
    """


@primitive(dtype=boolean, shape=broadcast, complex=OWN)
def logical_not(input):
    """Whether `input` is zero.

    Shapes: input (*S) -> (*S)
    """


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
