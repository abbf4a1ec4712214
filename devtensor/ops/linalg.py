"""Matrix products."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import HOLOMORPHIC, composite, primitive
from devtensor.core.rules import same
from devtensor.core.spec import broadcast_shapes
from devtensor.ops.examples import case, fails
from devtensor.ops.reduce import sum_to
from devtensor.ops.shape import as_shape, permute


def matmul_shape(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    """Rows of the first by columns of the second; vectors lose their dim; leading dims broadcast."""
    left, right = inputs[0].shape, inputs[1].shape
    if not left or not right:
        raise ShapeError(
            f"[{op}] input {left} @ other {right}: both need at least one dim; use * for numbers"
        )
    inner = right[0] if len(right) == 1 else right[-2]
    if left[-1] != inner:
        words = "mat1 and mat2 shapes cannot be multiplied: " if len(left) == len(right) == 2 else ""
        raise ShapeError(
            f"[{op}] {words}input {left} @ other {right}: K={left[-1]} and K={inner} must be equal"
        )
    batch = broadcast_shapes(op, [left[:-2], right[:-2]])
    return batch + left[-2:-1] + (right[-1:] if len(right) > 1 else ())


def transposed(input: Any) -> Any:
    """The last two dims exchanged."""
    ndim = input.array.ndim
    return permute(input, (*range(ndim - 2), ndim - 1, ndim - 2))


def _matrices(g: Any, left: Any, right: Any) -> Any:
    """The gradient with the dims that vectors lost."""
    shape = list(g.array.shape)
    if len(right) == 1:
        shape.append(1)
    if len(left) == 1:
        shape.insert(len(shape) - 1, 1)
    return as_shape(g, tuple(shape))


def _for_input(g: Any, other: Any, like: Any) -> Any:
    left, right = like.input.shape, like.other.shape
    if len(right) == 1:
        other = as_shape(other, (right[0], 1))
    product = matmul(_matrices(g, left, right), transposed(other))
    return _to_shape(product, (1, *left) if len(left) == 1 else left, left)


def _for_other(g: Any, input: Any, like: Any) -> Any:
    left, right = like.input.shape, like.other.shape
    if len(left) == 1:
        input = as_shape(input, (1, left[0]))
    if len(right) == 2 and input.array.ndim > 2:
        # One product over all rows at once rather than a batch of products that are summed.
        return matmul(transposed(as_rows(input)), as_rows(g))
    product = matmul(transposed(input), _matrices(g, left, right))
    return _to_shape(product, (*right, 1) if len(right) == 1 else right, right)


def as_rows(input: Any) -> Any:
    """All leading dims made one."""
    shape = input.array.shape
    return as_shape(input, (prod(shape[:-1]), shape[-1]))


def _to_shape(product: Any, matrix: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    return as_shape(sum_to(product, matrix), shape)


@primitive(dtype=same, shape=matmul_shape, amp="lower", operator="@", complex=HOLOMORPHIC)
def matmul(input, other):
    """Matrix product over the last two dimensions; leading dimensions broadcast; vectors are rows or columns.

    Shapes: input (*B, N, K), other (*B, K, M) -> (*B, N, M)
    Errors: ShapeError if K differs; the message names both sizes. DTypeError if dtypes differ.
    """


matmul.vjp(input=_for_input, other=_for_other)


@matmul.examples
def _(make):
    yield case(make(3, 4), make(4, 5))
    yield case(make(2, 1, 3, 4), make(5, 4, 2))
    yield case(make(2, 3, 4), make(4, 5))
    yield case(make(4), make(4))
    yield case(make(3, 4), make(4))
    yield case(make(4), make(4, 5))
    yield case(make(2, 3, 4), make(4))
    yield case(make(4), make(2, 4, 3))
    yield case(make(3, 0), make(0, 5))
    yield case(make(4, 3, layout="transposed"), make(3, 5, layout="sliced"))
    yield fails(make(3, 4), make(5, 6), error="K=4 .* K=5")
    yield fails(make(), make(3), error="at least one dim")


def check_ranks(op: str, input: tuple[int, ...], other: tuple[int, ...], left: int, right: int) -> None:
    """Refuse shapes of other numbers of dims than these.

    Errors: ShapeError that names both shapes and what is expected.
    """
    if (len(input), len(other)) != (left, right):
        raise ShapeError(
            f"[{op}] input {input}, other {other}: expected {left}D and {right}D tensors; "
            "use matmul() for the others"
        )


def _ranked(left: int, right: int) -> Callable:
    """The shape rule of a product of tensors with exactly these numbers of dims."""

    def ranked(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
        check_ranks(op, inputs[0].shape, inputs[1].shape, left, right)
        return matmul_shape(op, inputs, params)

    return ranked


@composite(dtype=same, shape=_ranked(1, 1), amp="widest", eager=True, complex=HOLOMORPHIC)
def dot(input, tensor):
    """Sum of the products of two vectors' elements.

    Shapes: input (K,), tensor (K,) -> ()
    Errors: ShapeError if K differs or one is no vector. DTypeError if dtypes differ.
    Source: under autocast the wider dtype stays, as in PyTorch, which lowers matmul of the same vectors.
    """
    return matmul(input, tensor)


dot.vjp(input=lambda g, tensor: g * tensor, tensor=lambda g, input: g * input)


@dot.examples
def _(make):
    yield case(make(4), make(4))
    yield case(make(0), make(0))
    yield case(make(4, layout="sliced"), make(4))
    yield fails(make(4), make(3), error="K=4 and K=3")
    yield fails(make(2, 2), make(2), error="expected 1D and 1D")


@composite(dtype=same, shape=_ranked(2, 1), amp="lower", eager=True, complex=HOLOMORPHIC)
def mv(input, vec):
    """Matrix times vector.

    Shapes: input (N, K), vec (K,) -> (N,)
    Errors: ShapeError if K differs or the dims are others. DTypeError if dtypes differ.
    """
    return matmul(input, vec)


mv.vjp(
    input=lambda g, vec: as_shape(g, (*g.array.shape, 1)) * vec,
    vec=lambda g, input: mv(transposed(input), g),
)


@mv.examples
def _(make):
    yield case(make(3, 4), make(4))
    yield case(make(3, 0), make(0))
    yield case(make(4, 3, layout="transposed"), make(3))
    yield fails(make(3, 4), make(3), error="K=4 and K=3")
    yield fails(make(4), make(4), error="expected 2D and 1D")
