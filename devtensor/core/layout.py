"""How elements lie in memory: the strides that results, copies and memory formats have."""

from __future__ import annotations

from collections.abc import Sequence

from devtensor.core.errors import ArgumentError, ShapeError
from devtensor.core.spec import contiguous_strides, is_contiguous

# The order of dims, outermost first, of a memory format for this many dims.
FORMATS = {"channels_last": (4, (0, 2, 3, 1)), "channels_last_3d": (5, (0, 2, 3, 4, 1))}

Strides = tuple[int, ...]


def sorted_dims(shape: Sequence[int], operands: Sequence[Strides]) -> list[int]:
    """The dims from the innermost to the outermost, as the strides of the operands tell it.

    The first operand that steps in both of two dims decides between them; of equal steps the smaller size is
    inside.

    Source: the rule that PyTorch documents for its elementwise ops (memory format propagation).
    """
    order = list(range(len(shape) - 1, -1, -1))
    for start in range(1, len(order)):
        place = start
        for before in range(start - 1, -1, -1):
            found = _outside(order[before], order[place], shape, operands)
            if found > 0:
                order[before], order[place] = order[place], order[before]
                place = before
            elif found < 0:
                break
    return order


def _outside(first: int, second: int, shape: Sequence[int], operands: Sequence[Strides]) -> int:
    """1 if `first` lies outside `second`, -1 if inside, 0 if nothing tells."""
    for strides in operands:
        one, other = strides[first], strides[second]
        if one == 0 or other == 0:
            continue
        if one != other:
            return -1 if one < other else 1
        if shape[first] > shape[second]:
            return 1
    return 0


def packed(shape: Sequence[int], order: Sequence[int]) -> Strides:
    """Strides without gaps for dims that lie in this order, the innermost first."""
    strides, step = [0] * len(shape), 1
    for dim in order:
        strides[dim] = step
        step *= max(shape[dim], 1)
    return tuple(strides)


def is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the elements fill a stretch of memory without gaps, each place once, in whatever order."""
    if 0 in shape:
        return True
    reach = 1
    for stride, size in sorted((s, n) for s, n in zip(strides, shape, strict=True) if n != 1):
        if stride != reach:
            return False
        reach *= size
    return True


def same_strides(shape: Sequence[int], found: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether both lead to the same places; the strides of sizes of 1 lead nowhere."""
    return 0 in shape or all(f == w for f, w, n in zip(found, wanted, shape, strict=True) if n > 1)


def strides_like(shape: Sequence[int], strides: Strides) -> Strides:
    """The strides of a copy that preserves its source's layout."""
    return tuple(strides) if is_dense(shape, strides) else packed(shape, sorted_dims(shape, [strides]))


def elementwise_strides(shape: Sequence[int], operands: Sequence[tuple[Sequence[int], Strides]]) -> Strides:
    """The strides of an elementwise op's result, from the shapes and strides of its inputs."""
    same = all(tuple(own) == tuple(shape) for own, _ in operands)
    if same and all(is_contiguous(shape, strides) for _, strides in operands):
        return contiguous_strides(shape)
    first = operands[0][1]
    if same and is_dense(shape, first) and all(strides == first for _, strides in operands):
        return tuple(first)
    stretched = [_stretched(shape, own, strides) for own, strides in operands]
    return packed(shape, sorted_dims(shape, stretched))


def descends(strides: Strides) -> bool:
    """Whether an operand's strides ask for no other order than the dims' own; those of 0 ask for none."""
    outer = None
    for stride in strides:
        if stride:
            if outer is not None and stride >= outer:
                return False
            outer = stride
    return True


def _stretched(shape: Sequence[int], own: Sequence[int], strides: Strides) -> Strides:
    """Strides of an operand that was broadcast to the shape: 0 where it is repeated."""
    extra = len(shape) - len(own)
    kept = [
        0 if n == 1 and shape[extra + d] != 1 else s
        for d, (n, s) in enumerate(zip(own, strides, strict=True))
    ]
    return (*(0,) * extra, *kept)


def format_strides(op: str, shape: Sequence[int], name: str) -> Strides | None:
    """The strides that a memory format asks for; None for one that preserves what is there.

    Errors: ShapeError for the wrong number of dims, ArgumentError for an unknown format.
    """
    if name == "preserve_format":
        return None
    if name == "contiguous_format":
        return contiguous_strides(shape)
    if name not in FORMATS:
        raise ArgumentError(f"[{op}] memory_format is {name!r}; give one of devtensor's memory formats")
    ndim, order = FORMATS[name]
    if len(shape) != ndim:
        raise ShapeError(f"[{op}] required rank {ndim} tensor to use {name} format, got {len(shape)} dims")
    return packed(shape, order[::-1])


def suggested_format(shape: Sequence[int], strides: Sequence[int]) -> str | None:
    """The format with channels innermost in which elements lie, gaps or not; None for rows, and in doubt.

    Strides of sizes of 1 count, for they tell which of two formats was meant.
    """
    for name, (ndim, order) in FORMATS.items():
        if len(shape) != ndim or strides[1] == 0 or 0 in shape:
            continue
        least = 0
        for dim in reversed(order):
            if strides[dim] < least or (dim == 0 and least == strides[1]):
                break
            least = strides[dim] * shape[dim]
        else:
            return name
    return None


def is_in_format(shape: Sequence[int], strides: Sequence[int], name: str) -> bool:
    """Whether elements lie as a memory format says; sizes of 1 tell nothing."""
    if name == "contiguous_format":
        return is_contiguous(shape, strides)
    ndim, order = FORMATS.get(name, (-1, ()))
    if len(shape) != ndim:
        return False
    step = 1
    for dim in reversed(order):
        if shape[dim] != 1:
            if strides[dim] != step:
                return False
            step *= shape[dim]
    return True
