"""Images and signals in other sizes."""

from __future__ import annotations

import math
from typing import Any

from devtensor.core.callers import warn
from devtensor.core.errors import ArgumentError, ArgumentTypeError, DTypeError, Unsupported
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor
from devtensor.ops.adaptive_pool import adaptive_avg_pool
from devtensor.ops.combine import clamp
from devtensor.ops.create import cast, copy
from devtensor.ops.elementwise import floor
from devtensor.ops.norm import in_dtype
from devtensor.ops.reduce import widened
from devtensor.ops.resize import resample

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

# The filter of each mode, and how many spatial dims it takes (None: any number).
MODES: dict[str, tuple[str, int | None]] = {
    "nearest": ("nearest", None),
    "nearest-exact": ("nearest-exact", None),
    "area": ("area", None),
    "linear": ("linear", 1),
    "bilinear": ("linear", 2),
    "bicubic": ("cubic", 2),
    "trilinear": ("linear", 3),
}


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """`input` resized over its spatial dims, to `size` or by `scale_factor`.

    Shapes: input (N, C, *S) -> (N, C, *size)
    Units: scale_factor is the new size over the old, rounded down to whole elements.
    Source: modes, edges and `align_corners` are PyTorch's; cubic filters have a = -0.75, with antialias -0.5.
    Errors: ArgumentError for arguments that do not go together, Unsupported for a mode
    that does not take so many dims.
    """
    count = input.array.ndim - 2
    sizes, scales = _sizes(input, count, size, scale_factor, recompute_scale_factor)
    _check_mode(input, count, mode, align_corners, antialias)
    if mode == "area":
        return adaptive_avg_pool(input, sizes)
    return _resized(input, sizes, scales, mode, bool(align_corners), antialias)


@one_op("float32", name="interpolate")
def _resized(
    input: Tensor, sizes: tuple, scales: tuple, mode: str, align_corners: bool, antialias: bool
) -> Tensor:
    """`input` at `sizes`, in its dtype; linear and cubic weights are taken in float32 at least."""
    kind = MODES[mode][0]
    count, dtype = len(sizes), input.kind.dtype
    if 0 in (*input.array.shape[1:], *sizes):
        raise DTypeError(
            f"[interpolate] Input and output sizes should be greater than 0, but got input "
            f"{tuple(input.array.shape)}, size {sizes}"
        )
    bytes_too = kind.startswith("nearest") or count == 2
    if not dtype.is_floating_point and not (dtype.name == "uint8" and bytes_too):
        raise DTypeError(f"[interpolate] mode {mode!r} is not implemented for {dtype.name}; use .float()")
    if kind.startswith("nearest"):
        return _along_all(input, sizes, scales, kind)
    settings = align_corners, antialias
    if not dtype.is_floating_point:
        return _of_bytes(input, sizes, scales, kind, *settings)
    return in_dtype(_along_all(widened(input), sizes, scales, kind, *settings), dtype)


def _along_all(input: Tensor, sizes: tuple, scales: tuple, kind: str, *settings: bool) -> Tensor:
    align, antialias = settings or (False, False)
    result = input
    for dim, (size, scale) in enumerate(zip(sizes, scales, strict=True), 2):
        source = input.array.shape[dim]
        if kind == "nearest" and len(sizes) == 2 and size in (source, 2 * source):
            # Of images that stay or double PyTorch takes the sizes' word, whatever the scale.
            scale = None
        if source != size or (kind != "linear" and scale and not antialias):
            result = resample(result, dim, (kind, source, size, align, scale, antialias))
    return copy(result) if result is input else result


def _of_bytes(input: Tensor, sizes: tuple, scales: tuple, kind: str, align: bool, antialias: bool) -> Tensor:
    """8-bit numbers resized one dim at a time, the last first, and rounded each time, as PyTorch does."""
    result: Tensor = cast(input, "float64")
    count = len(sizes)
    for place in reversed(range(count)):
        source, size = input.array.shape[2 + place], sizes[place]
        if source != size:
            sampling = (kind, source, size, align, scales[place], antialias)
            result = clamp(floor(resample(result, 2 + place, sampling, False, count == 2) + 0.5), 0, 255)  # type: ignore[operator]
    return cast(result, input.kind.dtype)


def _check_mode(input: Tensor, count: int, mode: str, align_corners: bool | None, antialias: bool) -> None:
    if mode not in MODES or count not in (1, 2, 3) or MODES[mode][1] not in (None, count):
        raise Unsupported(
            "[interpolate] Input Error: Only 3D, 4D and 5D input Tensors supported (got "
            f"{input.array.ndim}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | area | "
            f"nearest-exact (got {mode})"
        )
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ArgumentError(
            "[interpolate] align_corners option can only be set with the interpolating modes: linear | "
            f"bilinear | bicubic | trilinear; mode is {mode}"
        )
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and count == 2):
        raise ArgumentError(
            "[interpolate] Anti-alias option is only supported for bilinear and bicubic modes of 4D input; "
            f"mode is {mode}"
        )


def _sizes(
    input: Tensor, count: int, size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[tuple[int, ...], tuple]:
    """The new sizes, and per dim the scale to compute places with; None where the sizes say it."""
    spatial = tuple(input.array.shape[2:])
    if (size is None) == (scale_factor is None):
        raise ArgumentError(
            "[interpolate] only one of size or scale_factor should be defined"
            if size is not None
            else "[interpolate] either size or scale_factor should be defined"
        )
    if size is not None:
        if recompute:
            raise ArgumentError(
                "[interpolate] recompute_scale_factor is not meaningful with an explicit size."
            )
        return tuple(map(_whole, _each("size", size, count, spatial))), (None,) * count
    factors = tuple(float(f) for f in _each("scale_factor", scale_factor, count, spatial))
    sizes = tuple(math.floor(n * f) for n, f in zip(spatial, factors, strict=True))
    return sizes, (None,) * count if recompute else factors


def _each(name: str, value: Any, count: int, spatial: tuple) -> tuple:
    if not isinstance(value, (tuple, list)):
        return (value,) * count
    if len(value) != count:
        raise ArgumentError(
            f"[interpolate] Input and {name} must have the same number of spatial dimensions, but got input "
            f"with spatial dimensions of {list(spatial)} and {name} of {list(value)}"
        )
    return tuple(value)


def _whole(size: Any) -> int:
    try:
        return size.__index__()
    except (AttributeError, TypeError):
        raise ArgumentTypeError(
            f"[interpolate] expected size to be one of int or Tuple[int], but got {size!r}"
        ) from None


def _deprecated(old: str) -> None:
    warn(f"`nn.functional.{old}` is deprecated. Use `nn.functional.interpolate` instead.")


def upsample(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
) -> Tensor:
    """Former name of `interpolate`."""
    _deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """Former name of `interpolate` with mode "nearest"."""
    _deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """Former name of `interpolate` with mode "bilinear" and align_corners."""
    _deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, "bilinear", True)
