"""Einstein's summation, lowered to permutations, reshapes and one matrix product per pair of operands."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentError, OptionError, ShapeError
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor, describe
from devtensor.ops import reduce
from devtensor.ops.linalg import matmul
from devtensor.ops.shape import as_shape, diagonal, expand, permute

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
    terms, result = _read(equation, tensors)
    sizes = _sizes(equation, terms, tensors)
    pairs = [_prepared(term, tensor, sizes) for term, tensor in zip(terms, tensors, strict=True)]
    while len(pairs) > 1:
        first, second = pairs.pop(0), pairs.pop(0)
        needed = set(result).union(*(term for term, _ in pairs))
        pairs.insert(0, _contracted(first, second, needed, sizes))
    term, tensor = _summed(pairs[0], set(result))
    return permute(tensor, tuple(term.index(letter) for letter in result))


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


def _sizes(equation: str, terms: list[list[str]], tensors: list[Tensor]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms, tensors, strict=True):
        for name, size in zip(term, tensor.array.shape, strict=True):
            known = sizes.get(name, 1)
            if known != size and 1 not in (known, size):
                raise ShapeError(
                    f"[einsum] {equation!r}: {describe(tensor)} has size {size} for {name!r}, others {known}"
                )
            sizes[name] = size if known == 1 else known
    return sizes


def _prepared(term: list[str], tensor: Tensor, sizes: dict[str, int]) -> tuple[list[str], Tensor]:
    """Every name once: repeated ones become the diagonal; dims of size 1 stretch to their name's size."""
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
    shape = tuple(sizes[name] for name in term)
    return term, tensor if shape == tuple(tensor.array.shape) else expand(tensor, shape)


def _summed(pair: tuple[list[str], Tensor], needed: set[str]) -> tuple[list[str], Tensor]:
    """Dims that nobody needs any more summed away."""
    term, tensor = pair
    gone = tuple(d for d, name in enumerate(term) if name not in needed)
    return [name for name in term if name in needed], reduce.sum(tensor, gone) if gone else tensor


def _contracted(
    first: tuple[list[str], Tensor], second: tuple[list[str], Tensor], needed: set[str], sizes: dict[str, int]
) -> tuple[list[str], Tensor]:
    """Two operands as one batched matrix product: shared and needed, rows, summed, columns."""
    left, a = _summed(first, needed | set(second[0]))
    right, b = _summed(second, needed | set(left))
    batch = [n for n in left if n in right and n in needed]
    middle = [n for n in left if n in right and n not in needed]
    rows = [n for n in left if n not in right]
    columns = [n for n in right if n not in left]

    def count(names: list[str]) -> int:
        total = 1
        for name in names:
            total *= sizes[name]
        return total

    def arranged(term: list[str], tensor: Tensor, *groups: list[str]) -> Tensor:
        order = tuple(term.index(name) for group in groups for name in group)
        return as_shape(permute(tensor, order), tuple(count(group) for group in groups))

    if not middle:
        ordered = [*batch, *rows, *columns]
        shapes = [(*map(sizes.get, batch), *map(sizes.get, rows), *(1,) * len(columns)),
                  (*map(sizes.get, batch), *(1,) * len(rows), *map(sizes.get, columns))]  # fmt: skip
        wide = as_shape(permute(a, tuple(left.index(n) for n in (*batch, *rows))), shapes[0])  # type: ignore[arg-type]
        tall = as_shape(permute(b, tuple(right.index(n) for n in (*batch, *columns))), shapes[1])  # type: ignore[arg-type]
        return ordered, wide * tall
    product = matmul(arranged(left, a, batch, rows, middle), arranged(right, b, batch, middle, columns))
    names = [*batch, *rows, *columns]
    return names, as_shape(product, tuple(sizes[name] for name in names))
