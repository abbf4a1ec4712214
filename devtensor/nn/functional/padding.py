"""Borders around tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.core.errors import ArgumentError, ShapeError, Unsupported
from devtensor.core.holding import held
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor
from devtensor.functions.formats import channels_like, in_order
from devtensor.ops import shape as ops
from devtensor.ops.create import copy
from devtensor.ops.join import cat
from devtensor.ops.windows import pad as padded

__all__ = ["pad"]


@one_op(name="nn_pad")
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """`input` with borders: pairs (before, after), for the last dim first; negative widths cut off.

    `mode` is constant, reflect (mirrored at the edge element), replicate (the edge element) or circular.

    Shapes: input (*S) -> S plus the widths
    Errors: ArgumentError for an odd number of widths; Unsupported for an unknown mode, or one that does not
    take such dims; ShapeError for widths too large.
    """
    widths = tuple(pad)
    ndim = input.array.ndim
    if len(widths) % 2 or len(widths) // 2 > ndim:
        raise ArgumentError(
            "[pad] Padding length must be divisible by 2 and at most twice the number of dimensions of the "
            f"input: pad is {widths}, input has {ndim} dims"
        )
    pairs = tuple(zip(widths[::2], widths[1::2], strict=True))
    if mode == "constant":
        return _constant(input, pairs, 0 if value is None else value)
    _check_border(input, pairs, mode, value)
    if mode == "circular":
        input = _constant(input, tuple((min(b, 0), min(a, 0)) for b, a in pairs), 0)
        pairs = tuple((max(b, 0), max(a, 0)) for b, a in pairs)
    made = input
    for place, (before, after) in enumerate(pairs):
        if before or after:
            made = _bordered(made, ndim - 1 - place, before, after, mode)
    if made is input:
        made = copy(input)
    return in_order(made) if mode == "circular" else channels_like(made, input)


def _check_border(input: Tensor, pairs: tuple, mode: str, value: float | None) -> None:
    """Refuse what no border made of the input's own elements goes with.

    Errors: as for `pad`.
    """
    rest = input.array.ndim - len(pairs)
    if mode not in BORDERS:
        raise Unsupported(
            f"[pad] Unrecognised padding mode {mode!r}; it takes constant, {', '.join(BORDERS)}"
        )
    if value not in (None, 0):
        raise ArgumentError(f"[pad] Padding mode {mode!r} doesn't take in value argument; got {value}")
    if rest not in (1, 2):
        raise Unsupported(
            f"[pad] Padding size {2 * len(pairs)} is not supported for {input.array.ndim}D input tensor; "
            "other modes than constant pad all but the first, or the first two, dims"
        )
    if 0 in input.array.shape[rest - 1 :] and mode != "circular":
        raise ShapeError(
            f"[pad] Expected input without empty dims but the batch's, got {tuple(input.array.shape)}"
        )


def _constant(input: Tensor, pairs: tuple, value: Any) -> Tensor:
    ndim = input.array.ndim
    full = ((0, 0),) * (ndim - len(pairs)) + tuple(reversed(pairs))
    if any(width < 0 for pair in full for width in pair):
        cut = []
        for size, (before, after) in zip(input.array.shape, full, strict=True):
            if size + min(before, 0) + min(after, 0) < 0:
                raise ShapeError(f"[pad] widths {pairs} take more than shape {tuple(input.array.shape)} has")
            cut.append(slice(max(0, -before), size + min(after, 0)))
        input = ops.getitem(input, tuple(cut))
        full = tuple((max(0, before), max(0, after)) for before, after in full)
    return padded(input, full, held("pad", value, input.kind.dtype))


def _cut(input: Tensor, dim: int, start: int, stop: int) -> Any:
    """The elements from `start` on and before `stop` along a dim."""
    return ops.getitem(input, (*(slice(None),) * dim, slice(start, stop)))


def _reflected(input: Tensor, dim: int, before: int, after: int) -> tuple[Any, Any]:
    """Mirrored at both edge elements."""
    last = input.array.shape[dim] - 1
    front, back = _cut(input, dim, 1, before + 1), _cut(input, dim, last - after, last)
    return ops.flip(front, (dim,)), ops.flip(back, (dim,))


def _replicated(input: Tensor, dim: int, before: int, after: int) -> tuple[Any, Any]:
    """The edge elements, again and again."""
    shape, size = tuple(input.array.shape), input.array.shape[dim]
    edges = _cut(input, dim, 0, 1), _cut(input, dim, size - 1, size)
    found = [
        ops.expand(edge, (*shape[:dim], width, *shape[dim + 1 :]))
        for edge, width in zip(edges, (before, after), strict=True)
    ]
    return found[0], found[1]


def _continued(input: Tensor, dim: int, before: int, after: int) -> tuple[Any, Any]:
    """From the other edge on."""
    size = input.array.shape[dim]
    return _cut(input, dim, size - before, size), _cut(input, dim, 0, after)


BORDERS = {"reflect": _reflected, "replicate": _replicated, "circular": _continued}


def _bordered(input: Tensor, dim: int, before: int, after: int, mode: str) -> Tensor:
    """`input` between two borders along `dim`; negative widths cut off."""
    size = input.array.shape[dim]
    limit = {"reflect": size - 1, "circular": size}.get(mode)
    if limit is not None and max(before, after) > limit:
        raise ShapeError(
            f"[pad] Padding size should be less than the corresponding input dimension: widths ({before}, "
            f"{after}) of mode {mode!r} at dim {dim} of input {tuple(input.array.shape)}; at most {limit}"
        )
    if not size:
        raise ShapeError(
            f"[pad] dim {dim} of input {tuple(input.array.shape)} is empty; mode {mode!r} needs elements"
        )
    front, back = BORDERS[mode](input, dim, max(before, 0), max(after, 0))
    parts = [front] * (before > 0) + [input] + [back] * (after > 0)
    whole = cat(*parts, dim=dim) if len(parts) > 1 else input
    if before >= 0 and after >= 0:
        return whole
    return _cut(whole, dim, max(-before, 0), whole.array.shape[dim] + min(after, 0))
