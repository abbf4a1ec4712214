"""Convolutions of one to three spatial dims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import bfloat16
from devtensor.core.errors import DTypeError, ShapeError
from devtensor.core.naming import named
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor
from devtensor.nn.functional.geometry import Sizes, numbers, with_batch, without_batch
from devtensor.ops import conv as ops
from devtensor.ops.norm import in_dtype
from devtensor.ops.shape import getitem, per_channel, permute
from devtensor.ops.windows import pad

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_tbc",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
]


def with_bias(output: Tensor, weight: Tensor, bias: Tensor | None, converted: bool = False) -> Tensor:
    """Add one number for each channel, `converted` to the output's dtype where they may have another.

    Errors: ShapeError unless there is one number for each, DTypeError if they are not of the output's dtype.
    """
    if bias is None:
        return output
    dtype, channels = output.kind.dtype, output.array.shape[1]
    if tuple(bias.array.shape) != (channels,):
        raise ShapeError(
            f"[conv] Given weight of size {list(weight.array.shape)}, expected bias to be 1-dimensional with "
            f"{channels} elements, but got bias of size {list(bias.array.shape)}"
        )
    if bias.kind.dtype is not dtype and not converted:
        raise DTypeError(
            f"[conv] Input type ({dtype.name}) and bias type ({bias.kind.dtype.name}) should be the same"
        )
    return output + per_channel(in_dtype(bias, dtype), output.array.ndim)


def same_padding(size: Sizes, dilation: Sizes) -> list[tuple[int, int]]:
    """What keeps sizes as they are, the odd one behind."""
    totals = [d * (k - 1) for k, d in zip(size, dilation, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


def _padded(op: str, input: Tensor, weight: Tensor, stride: Sizes, padding: Any, dilation: Sizes) -> tuple:
    """The input and its padding as one number a dim; uneven `same` padding is written out."""
    count = len(stride)
    if weight.array.ndim != count + 2:
        raise ShapeError(
            f"[{op}] Expected {weight.array.ndim}-dimensional input for {weight.array.ndim}-dimensional "
            f"weight {list(weight.array.shape)}, but got {count + 2}-dimensional input of size "
            f"{list(input.array.shape)} instead"
        )
    if not isinstance(padding, str):
        return input, numbers(op, "padding", padding, count)
    if padding == "valid":
        return input, (0,) * count
    if padding != "same":
        raise ShapeError(f"[{op}] Invalid padding string {padding!r}, should be one of 'valid', 'same'")
    if any(step != 1 for step in stride):
        raise ShapeError(
            f"[{op}] padding='same' is not supported for strided convolutions; stride is {stride}"
        )
    widths = same_padding(tuple(weight.array.shape[2:]), dilation)
    if all(before == after for before, after in widths):
        return input, tuple(before for before, _ in widths)
    return pad(input, ((0, 0), (0, 0), *widths)), (0,) * count


def _forward(count: int) -> Callable[..., Tensor]:
    name = f"conv{count}d"

    def conv(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        input, added = with_batch(name, input, count)
        steps, apart = numbers(name, "stride", stride, count), numbers(name, "dilation", dilation, count)
        input, around = _padded(name, input, weight, steps, padding, apart)
        output = ops.convolution(input, weight, steps, around, apart, groups)
        return without_batch(with_bias(output, weight, bias), added)

    return named(
        one_op("lower", name)(conv),
        name,
        f"Cross-correlation of `input` with `weight` over {count} spatial dim(s), plus `bias`.\n\n"
        "Shapes: input (N, C, *S) or (C, *S), weight (O, C/groups, *K), bias (O,) -> (N, O, *P) or (O, *P)\n"
        "Units: `padding` counts elements on each side; 'valid' is none, 'same' keeps sizes (stride 1).\n"
        "Errors: ShapeError if channels do not fit, no window fits, or arguments are out of range.",
    )


def _check_transposed(op: str, input: Tensor, weight: Tensor, groups: int) -> None:
    source, filters = tuple(input.array.shape), tuple(weight.array.shape)
    if len(filters) != len(source) or groups < 1 or filters[0] != source[1] or filters[0] % groups:
        raise ShapeError(
            f"[{op}] Given transposed=1, weight of size {list(filters)}, groups={groups}, expected input "
            f"{list(source)} to have {filters[0]} channels and as many dims as the weight, and groups to "
            "divide the channels"
        )


def _spread_out(
    input: Tensor, weight: Tensor, stride: Sizes, padding: Sizes, extra: Sizes, dilation: Sizes, groups: int
) -> Tensor:
    """The transposed convolution; what `extra` adds beyond a stride is reached by no window, or cut again."""
    beyond = any(e >= s for e, s in zip(extra, stride, strict=True))
    count = len(stride)
    around, added = ((0,) * count, (0,) * count) if beyond else (padding, extra)
    rows = zip(input.array.shape[2:], weight.array.shape[2:], stride, around, added, dilation, strict=True)
    sizes = [(n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, k, s, p, e, d in rows]
    if min(sizes) < 1:
        raise ShapeError(
            f"[conv_transpose] input {tuple(input.array.shape)}, weight {tuple(weight.array.shape)}: "
            f"Calculated output size per channel: {tuple(sizes)}. Output size is too small"
        )
    shape = (input.array.shape[0], weight.array.shape[1] * groups, *sizes)
    output = ops.convolution_grad_input(input, weight, shape, stride, around, dilation, groups)
    if not beyond:
        return output
    cuts = (slice(p, n + min(0, e - p)) for n, p, e in zip(sizes, padding, extra, strict=True))
    cut = getitem(output, (slice(None), slice(None), *cuts))
    return pad(cut, ((0, 0), (0, 0), *((0, max(0, e - p)) for p, e in zip(padding, extra, strict=True))))


def _transposed(count: int) -> Callable[..., Tensor]:
    name = f"conv_transpose{count}d"

    def conv_transpose(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Tensor:
        input, added = with_batch(name, input, count)
        steps, apart = numbers(name, "stride", stride, count), numbers(name, "dilation", dilation, count)
        around, extra = (
            numbers(name, "padding", padding, count),
            numbers(name, "output_padding", output_padding, count),
        )
        if any(e >= max(s, d) for e, s, d in zip(extra, steps, apart, strict=True)):
            raise ShapeError(
                f"[{name}] output padding must be smaller than either stride or dilation, but got "
                f"output_padding {extra}, stride {steps}, dilation {apart}"
            )
        _check_transposed(name, input, weight, groups)
        output = _spread_out(input, weight, steps, around, extra, apart, groups)
        # What adds the bias on PyTorch's CPU takes any dtype, but for volumes and bfloat16.
        converted = count < 3 and output.kind.dtype is not bfloat16
        return without_batch(with_bias(output, weight, bias, converted), added)

    return named(
        one_op("lower", name)(conv_transpose),
        name,
        f"Transposed convolution over {count} spatial dim(s): the gradient of conv{count}d for its input.\n\n"
        "Shapes: input (N, O, *P) or (O, *P), weight (O, C/groups, *K), bias (C,) -> (N, C, *S) or (C, *S)\n"
        "Units: `output_padding` counts elements added behind each dim.\n"
        "Errors: ShapeError if channels do not fit or arguments are out of range.",
    )


conv1d, conv2d, conv3d = map(_forward, (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = map(_transposed, (1, 2, 3))


@one_op("lower")
def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """Cross-correlation over sequences that lie time first.

    Shapes: input (T, N, C), weight (K, C, O), bias (O,) -> (T + 2*pad - K + 1, N, O)
    Errors: ShapeError if channels do not fit or no window fits.
    """
    if input.array.ndim != 3 or weight.array.ndim != 3 or bias.array.ndim != 1:
        raise ShapeError(
            f"[conv_tbc] input {tuple(input.array.shape)}, weight {tuple(weight.array.shape)}, bias "
            f"{tuple(bias.array.shape)}; it needs (T, N, C), (K, C, O), (O,)"
        )
    made = conv1d(permute(input, (1, 2, 0)), permute(weight, (2, 1, 0)), bias, padding=pad)
    return permute(made, (2, 0, 1)).contiguous()  # type: ignore[attr-defined]
