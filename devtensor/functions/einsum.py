"""Einstein's summation, lowered to permutations, reshapes and one matrix product per pair of operands."""

from __future__ import annotations

from math import prod
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError, OptionError, ShapeError
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.formats import product
from devtensor.ops import reduce
from devtensor.ops.linalg import matmul
from devtensor.ops.shape import as_shape, diagonal, getitem, inverse, permute

__all__ = ["einsum"]

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@one_op("lower")
def einsum(*args: Any) -> Tensor:
    """Sum of products over named dims: "ij,jk->ik" is the matrix product.

    Shapes: each operand as its letters say; "..." stands for dims that broadcast
    Errors: ArgumentError for an equation that cannot be read, ShapeError if sizes of one letter differ.
    """
    if len(args) < 2:
        raise ArgumentError(
            f"[einsum] got {len(args)} arguments; must specify the equation string and at least one operand, "
            "or at least one operand and its subscripts list"
        )
    equation, operands = args[0], args[1:]
    if not isinstance(equation, str):
        equation, operands = _from_lists(equation, operands)
    tensors = (
        list(operands[0]) if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else list(operands)
    )
    for place, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise ArgumentTypeError(f"[einsum] operand {place} must be a Tensor, not {type(tensor).__name__}")
    terms, result = _read(equation, tensors)
    _check_sizes(equation, terms, tensors)
    order = [*result, *sorted(set().union(*terms) - set(result))]
    operands = [_aligned(term, tensor, order) for term, tensor in zip(terms, tensors, strict=True)]
    kept = len(result)
    if len(operands) == 1:
        return reduce.sum(operands[0], tuple(range(kept, len(order)))) if kept < len(order) else operands[0]
    users = [sum(operand.array.shape[dim] != 1 for operand in operands) for dim in range(len(order))]
    swaps = len(operands) == 2
    while len(operands) > 1:
        first, second = operands.pop(0), operands.pop(0)
        operands.insert(0, _contracted(first, second, users, kept, swaps))
    return as_shape(operands[0], tuple(operands[0].array.shape[:kept]))


def _from_lists(first: Any, rest: tuple) -> tuple[str, tuple]:
    """The other form: operand, dims as numbers, operand, dims, ..., dims of the result."""
    items = [first, *rest]
    result = items.pop() if len(items) % 2 else None
    lists = [_letters(dims) for dims in items[1::2]]
    equation = ",".join(lists) + ("" if result is None else "->" + _letters(result))
    return equation, tuple(items[::2])


def _letters(dims: Any) -> str:
    for d in dims:
        if d is not Ellipsis and not 0 <= d < len(LETTERS):
            raise ArgumentError(f"[einsum] subscript {d} is not within the valid range [0, {len(LETTERS)})")
    return "".join("..." if d is Ellipsis else LETTERS[d] for d in dims)


def _read(equation: str, tensors: list[Tensor]) -> tuple[list[list[str]], list[str]]:
    """Each operand's dims as names, and the result's; a dim under "..." is named by its place from the
    right."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(tensors):
        raise OptionError(
            f"[einsum] {equation!r} names {len(texts)} operands, but {len(tensors)} were provided"
        )
    terms = [_names(equation, text, tensor.array.ndim) for text, tensor in zip(texts, tensors, strict=True)]
    dots = max((sum(1 for name in term if name.isdigit()) for term in terms), default=0)
    spread = [str(k) for k in reversed(range(dots))]
    if arrow:
        result = _names(equation, right, None, spread)
        known = set(spread).union(*terms)
        if len(set(result)) != len(result) or not set(result) <= known:
            raise OptionError(
                f"[einsum] {equation!r}: the result must name each of its dims once, and only given ones"
            )
        return terms, result
    letters = [name for term in terms for name in term if not name.isdigit()]
    return terms, spread + sorted(name for name in set(letters) if letters.count(name) == 1)


def _names(equation: str, text: str, ndim: int | None, spread: list[str] | None = None) -> list[str]:
    before, dots, after = text.partition("...")
    if not all(letter in LETTERS for letter in before + after):
        raise OptionError(f"[einsum] {equation!r}: subscripts must be in [a-zA-Z], '...', ',' and '->'")
    if ndim is None:
        return [*before, *(spread or [] if dots else []), *after]
    count = ndim - len(before) - len(after)
    if count < 0 or (count and not dots):
        raise ShapeError(f"[einsum] {equation!r}: {text!r} does not fit an operand of {ndim} dimensions")
    return [*before, *(str(k) for k in reversed(range(count))), *after]


def _check_sizes(equation: str, terms: list[list[str]], tensors: list[Tensor]) -> None:
    """Refuse one letter for two sizes of which neither is 1."""
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms, tensors, strict=True):
        for name, size in zip(term, tensor.array.shape, strict=True):
            known = sizes.get(name, 1)
            if known != size and 1 not in (known, size):
                raise ShapeError(
                    f"[einsum] {equation!r}: {describe(tensor)} has size {size} for {name!r}, others {known}"
                )
            sizes[name] = size if known == 1 else known


def _aligned(term: list[str], tensor: Tensor, order: list[str]) -> Tensor:
    """The operand with a dim for every name, in order: of a name that it repeats the diagonal, of one that it
    lacks size 1."""
    for name in dict.fromkeys(term):
        while term.count(name) > 1:
            first = term.index(name)
            second = term.index(name, first + 1)
            if tensor.array.shape[first] != tensor.array.shape[second]:
                raise ShapeError(
                    f"[einsum] {describe(tensor)}: {name!r} is repeated but the sizes do not match"
                )
            tensor = diagonal(tensor, 0, first, second)
            term = [n for d, n in enumerate(term) if d not in (first, second)] + [name]
    lacking = [name for name in order if name not in term]
    whole = getitem(tensor, (*(slice(None),) * len(term), *(None,) * len(lacking))) if lacking else tensor
    names = [*term, *lacking]
    return permute(whole, tuple(names.index(name) for name in order))


def _contracted(first: Tensor, second: Tensor, users: list[int], kept: int, swaps: bool) -> Tensor:
    """Two aligned operands in one: the product, summed over dims behind the first `kept` that no other has.

    `users` counts for each dim the operands that have more than size 1 of it.
    """
    summed: list[int] = []
    alone: tuple[list[int], list[int]] = ([], [])
    for dim in range(kept, len(users)):
        wide = [operand.array.shape[dim] != 1 for operand in (first, second)]
        if all(wide):
            users[dim] -= 1
            if users[dim] == 1:
                summed.append(dim)
        elif any(wide) and users[dim] == 1:
            alone[wide.index(True)].append(dim)
    first, second = (
        reduce.sum(operand, tuple(dims), True) if dims else operand
        for operand, dims in zip((first, second), alone, strict=True)
    )
    return _product(first, second, summed, swaps) if summed else product(first, second)


def _product(first: Tensor, second: Tensor, summed: list[int], swaps: bool) -> Tensor:
    """A batched matrix product of aligned operands: dims of both, of the first, and the rest.

    Source: where all of the rest stand before those of the first, PyTorch exchanges two operands, so that the
    result lies in rows.
    """
    shapes = first.array.shape, second.array.shape
    free = [dim for dim in range(first.array.ndim) if dim not in summed]
    both = [dim for dim in free if shapes[0][dim] != 1 and shapes[1][dim] != 1]
    rows = [dim for dim in free if shapes[0][dim] != 1 and shapes[1][dim] == 1]
    columns = [dim for dim in free if shapes[0][dim] == 1]
    if swaps and rows and columns and max(columns) < min(rows):
        return _product(second, first, summed, False)

    def arranged(operand: Tensor, *groups: list[int]) -> Tensor:
        shape, rest = operand.array.shape, set(range(operand.array.ndim)).difference(*groups)
        order = (*(dim for group in groups for dim in group), *sorted(rest))
        return as_shape(permute(operand, order), tuple(prod(shape[d] for d in group) for group in groups))

    made = matmul(arranged(first, both, rows, summed), arranged(second, both, summed, columns))
    order = [*both, *rows, *summed, *columns]
    owner = {dim: 1 if dim in columns else 0 for dim in free}
    sizes = [shapes[owner[dim]][dim] if dim in owner else 1 for dim in order]
    return permute(as_shape(made, tuple(sizes)), inverse(tuple(order)))
