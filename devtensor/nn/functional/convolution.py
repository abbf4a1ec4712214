"""Convolutions of one to three spatial dims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from devtensor.core.errors import ArgumentError, ShapeError
from devtensor.core.tensor import Tensor
from devtensor.ops import conv as ops
from devtensor.ops.shape import as_shape, pad, per_channel

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]

Sizes = tuple[int, ...]


def per_dim(name: str, value: Any, count: int) -> Sizes:
    """One number for all spatial dims, or one for each.

    Errors: ArgumentError that names the argument.
    """
    if isinstance(value, int):
        return (value,) * count
    found = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else ()
    if len(found) == 1:
        found *= count
    if len(found) != count or not all(isinstance(size, int) for size in found):
        raise ArgumentError(f"[conv] {name} is {value!r}; it needs an int or {count} ints")
    return found


def with_batch(op: str, input: Tensor, count: int) -> tuple[Tensor, bool]:
    """`input` as (N, C, *S), and whether N had to be added.

    Errors: ShapeError for any other number of dims.
    """
    ndim = input.array.ndim
    if ndim not in (count + 1, count + 2):
        raise ShapeError(
            f"[{op}] Expected {count + 1}D (unbatched) or {count + 2}D (batched) input to {op}, but got "
            f"input of size: {list(input.array.shape)}"
        )
    return (input, False) if ndim == count + 2 else (as_shape(input, (1, *input.array.shape)), True)


def without_batch(output: Tensor, added: bool) -> Tensor:
    """Drop the batch dim that `with_batch` added."""
    return as_shape(output, tuple(output.array.shape[1:])) if added else output


def with_bias(output: Tensor, bias: Tensor | None) -> Tensor:
    """Add one number for each channel."""
    if bias is None:
        return output
    return output + per_channel(bias, output.array.ndim)


def same_padding(size: Sizes, dilation: Sizes) -> list[tuple[int, int]]:
    """What keeps sizes as they are, the odd one behind."""
    totals = [d * (k - 1) for k, d in zip(size, dilation, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


def _padded(op: str, input: Tensor, weight: Tensor, stride: Sizes, padding: Any, dilation: Sizes) -> tuple:
    """The input and its padding as one number a dim; uneven `same` padding is written out."""
    count = len(stride)
    if not isinstance(padding, str):
        return input, per_dim("padding", padding, count)
    if padding == "valid":
        return input, (0,) * count
    if padding != "same":
        raise ArgumentError(f"[{op}] Invalid padding string {padding!r}, should be one of 'valid', 'same'")
    if any(step != 1 for step in stride):
        raise ArgumentError(
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
        steps, apart = per_dim("stride", stride, count), per_dim("dilation", dilation, count)
        input, around = _padded(name, input, weight, steps, padding, apart)
        output = ops.convolution(input, weight, steps, around, apart, groups)
        return without_batch(with_bias(output, bias), added)

    conv.__name__ = conv.__qualname__ = name
    conv.__doc__ = (
        f"Cross-correlation of `input` with `weight` over {count} spatial dim(s), plus `bias`.\n\n"
        "Shapes: input (N, C, *S) or (C, *S), weight (O, C/groups, *K), bias (O,) -> (N, O, *P) or (O, *P)\n"
        "Units: `padding` counts elements on each side; 'valid' is none, 'same' keeps sizes (stride 1).\n"
        "Errors: ShapeError if channels do not fit or no window fits; ArgumentError for other arguments."
    )
    return conv


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
        steps, apart = per_dim("stride", stride, count), per_dim("dilation", dilation, count)
        around, extra = per_dim("padding", padding, count), per_dim("output_padding", output_padding, count)
        if any(e >= max(s, d) for e, s, d in zip(extra, steps, apart, strict=True)):
            raise ArgumentError(
                f"[{name}] output padding must be smaller than either stride or dilation, but got "
                f"output_padding {extra}, stride {steps}, dilation {apart}"
            )
        rows = zip(input.array.shape[2:], weight.array.shape[2:], steps, around, extra, apart, strict=True)
        sizes = [(n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, k, s, p, e, d in rows]
        shape = (input.array.shape[0], weight.array.shape[1] * groups, *sizes)
        output = ops.convolution_grad_input(input, weight, shape, steps, around, apart, groups)
        return without_batch(with_bias(output, bias), added)

    conv_transpose.__name__ = conv_transpose.__qualname__ = name
    conv_transpose.__doc__ = (
        f"Transposed convolution over {count} spatial dim(s): the gradient of conv{count}d for its input.\n\n"
        "Shapes: input (N, O, *P) or (O, *P), weight (O, C/groups, *K), bias (C,) -> (N, C, *S) or (C, *S)\n"
        "Units: `output_padding` counts elements added behind each dim.\n"
        "Errors: ShapeError if channels do not fit; ArgumentError for other arguments."
    )
    return conv_transpose


conv1d, conv2d, conv3d = map(_forward, (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = map(_transposed, (1, 2, 3))
