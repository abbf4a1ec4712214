"""Elements moved between channels, places and windows."""

from __future__ import annotations

from math import prod
from typing import Any

from devtensor.core.errors import DTypeError, ShapeError
from devtensor.core.tensor import Tensor
from devtensor.functions.formats import channels_like, copied
from devtensor.nn.functional.geometry import numbers
from devtensor.ops.conv import gather_windows, padded, window_counts, windows
from devtensor.ops.shape import as_shape, getitem, permute

__all__ = [
    "channel_shuffle",
    "fold",
    "native_channel_shuffle",
    "pixel_shuffle",
    "pixel_unshuffle",
    "unfold",
]


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels spread over space: r*r of them fill a block of r by r places.

    Shapes: input (*B, C*r*r, H, W) -> (*B, C, H*r, W*r)
    Source: Shi et al. 2016.
    Errors: ShapeError if the channels do not divide, or there are fewer than 3 dims.
    """
    shape, r = _pixels("pixel_shuffle", input, upscale_factor)
    if r == 1:
        return channels_like(copied("pixel_shuffle", input, "contiguous_format"), input)
    *lead, channels, height, width = shape
    if channels % (r * r):
        raise ShapeError(
            "[pixel_shuffle] pixel_shuffle expects its input's 'channel' dimension to be divisible by the "
            f"square of upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}"
        )
    kept, n = channels // (r * r), len(lead)
    split = as_shape(input, (*lead, kept, r, r, height, width))
    moved = permute(split, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return as_shape(moved, (*lead, kept, height * r, width * r))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Space gathered into channels: what `pixel_shuffle` did, undone.

    Shapes: input (*B, C, H*r, W*r) -> (*B, C*r*r, H, W)
    Errors: ShapeError if height or width do not divide, or there are fewer than 3 dims.
    """
    shape, r = _pixels("pixel_unshuffle", input, downscale_factor)
    if r == 1:
        return channels_like(copied("pixel_unshuffle", input, "contiguous_format"), input)
    *lead, channels, height, width = shape
    for name, size in (("height", height), ("width", width)):
        if size % r:
            raise ShapeError(
                f"[pixel_unshuffle] pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"size {size} is not divisible by {r}"
            )
    n = len(lead)
    split = as_shape(input, (*lead, channels, height // r, r, width // r, r))
    moved = permute(split, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return as_shape(moved, (*lead, channels * r * r, height // r, width // r))


def _pixels(op: str, input: Tensor, factor: int) -> tuple[tuple[int, ...], int]:
    shape = tuple(input.array.shape)
    if len(shape) < 3:
        raise ShapeError(
            f"[{op}] {op} expects input to have at least 3 dimensions, but got input with {len(shape)}"
        )
    if factor <= 0:
        raise ShapeError(f"[{op}] {op} expects a positive factor, but got {factor}")
    return shape, factor


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels in another order: one of each group in turn.

    Shapes: input (N, C, *S) -> (N, C, *S)
    Source: Zhang et al. 2017.
    Errors: ShapeError if channels do not divide by `groups`, or there are fewer than 3 dims.
    """
    shape = tuple(input.array.shape)
    if len(shape) < 3:
        raise ShapeError(
            f"[channel_shuffle] channel_shuffle expects input with > 2 dims, but got input with sizes {shape}"
        )
    if groups <= 0 or shape[1] % groups:
        raise ShapeError(
            "[channel_shuffle] Number of channels must be divisible by groups, a positive number. Got "
            f"{shape[1]} channels and {groups} groups."
        )
    split = as_shape(input, (shape[0], groups, shape[1] // groups, *shape[2:]))
    made = as_shape(permute(split, (0, 2, 1, *range(3, len(shape) + 1))), shape)
    return channels_like(made, input) if len(shape) == 4 else made


native_channel_shuffle = channel_shuffle


def _pairs(op: str, **given: Any) -> list[tuple[int, ...]]:
    found = []
    for name, value in given.items():
        if isinstance(value, (tuple, list)) and len(value) != 2:
            raise ShapeError(f"[{op}] It is expected {name} equals to 2, but got size {len(value)}: {value}")
        pair = numbers(op, name, value, 2)
        if any(n < (0 if name == "padding" else 1) for n in pair):
            raise ShapeError(f"[{op}] {name} should be greater than zero, but got {value}")
        found.append(pair)
    return found


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """All windows of an image, each a column.

    Shapes: input (N, C, H, W) or (C, H, W) -> (N, C*prod(kernel_size), windows) or without N
    Errors: ShapeError if no window fits, or arguments are out of range.
    """
    size, apart, around, steps = _pairs(
        "unfold", kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride
    )
    if input.kind.dtype.category in (0, 1) and input.kind.dtype.name != "bool":
        raise DTypeError(
            f"[unfold] is not implemented for {input.kind.dtype.name}; convert with .float() first"
        )
    image, added = _batch_of("unfold", input, 4)
    samples, channels, *spatial = image.array.shape
    counts = window_counts(tuple(spatial), size, steps, around, apart)
    if min(counts) < 1:
        raise ShapeError(
            f"[unfold] Given input with spatial size {tuple(spatial)}, kernel_size={size}, dilation={apart}, "
            f"padding={around}, stride={steps}, calculated shape of the array of sliding blocks as {counts}, "
            "but its components must be at least one."
        )
    seen = windows(padded(image, around, around), size, steps, apart)
    columns = as_shape(permute(seen, (0, 1, 4, 5, 2, 3)), (samples, channels * prod(size), prod(counts)))
    return as_shape(columns, tuple(columns.array.shape[1:])) if added else columns


def _batch_of(op: str, input: Tensor, ndim: int) -> tuple[Tensor, bool]:
    shape = tuple(input.array.shape)
    if len(shape) not in (ndim - 1, ndim) or (0 in shape[1 - ndim :]):
        raise ShapeError(
            f"[{op}] Expected {ndim - 1}D or {ndim}D (batch mode) tensor with possibly 0 batch size and "
            f"other non-zero dimensions for input, but got: {list(shape)}"
        )
    return (input, False) if len(shape) == ndim else (as_shape(input, (1, *shape)), True)


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The windows of `unfold` put back, and summed where they overlap.

    Shapes: input (N, C*prod(kernel_size), windows) or without N -> (N, C, *output_size) or without N
    Errors: ShapeError if input is not what `unfold` gives for such an output.
    """
    sizes, size, apart, around, steps = _pairs(
        "fold", output_size=output_size, kernel_size=kernel_size, dilation=dilation, padding=padding,
        stride=stride,
    )  # fmt: skip
    columns, added = _batch_of("fold", input, 3)
    samples, depth, count = columns.array.shape
    counts = window_counts(sizes, size, steps, around, apart)
    if depth % prod(size) or min(counts) < 1 or prod(counts) != count:
        raise ShapeError(
            f"[fold] Given output_size={sizes}, kernel_size={size}, dilation={apart}, padding={around}, "
            f"stride={steps}, expected input (N, a multiple of {prod(size)}, {counts[0]} * {counts[1]} = "
            f"{prod(counts)}), but got input {tuple(columns.array.shape)}"
        )
    seen = as_shape(columns, (samples, depth // prod(size), *size, *counts))
    whole = tuple(n + 2 * p for n, p in zip(sizes, around, strict=True))
    image = gather_windows(permute(seen, (0, 1, 4, 5, 2, 3)), whole, steps, apart)
    if any(around):
        inside = tuple(slice(p, p + n) for p, n in zip(around, sizes, strict=True))
        image = getitem(image, (slice(None), slice(None), *inside)).contiguous()
    return as_shape(image, tuple(image.array.shape[1:])) if added else image
