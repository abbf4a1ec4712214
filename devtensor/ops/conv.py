"""Convolution over any number of spatial dimensions: three ops, each the derivative of the other two."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import HOLOMORPHIC, Plain, composite
from devtensor.core.placement import CONVOLVED
from devtensor.ops.examples import case, fails
from devtensor.ops.linalg import matmul, transposed
from devtensor.ops.linear import one_numeric
from devtensor.ops.shape import as_shape, getitem, permute
from devtensor.ops.windows import fold, pad, unfold

Sizes = tuple[int, ...]


def padded(input: Any, before: Sizes, after: Sizes, value: Any = 0) -> Any:
    """`input` with a border around its last dims, itself if there is none."""
    if not any(before) and not any(after):
        return input
    leading = ((0, 0),) * (input.array.ndim - len(before))
    return pad(input, (*leading, *zip(before, after, strict=True)), value)


def windows(input: Any, size: Sizes, stride: Sizes, dilation: Sizes) -> Any:
    """A view of all windows over the last dims.

    Shapes: input (*B, *S) -> (*B, *P, *size)
    """
    first = input.array.ndim - len(size)
    for place, (reach, step, apart) in enumerate(zip(size, stride, dilation, strict=True)):
        input = unfold(input, first + place, reach, step, apart)
    return input


def gather_windows(input: Any, sizes: Sizes, stride: Sizes, dilation: Sizes) -> Any:
    """What `windows` took apart, put together over `sizes`; elements in several windows are summed."""
    count = len(sizes)
    first = input.array.ndim - 2 * count
    for place in reversed(range(count)):
        input = fold(input, sizes[place], first + place, stride[place], dilation[place])
    return input


def check_geometry(op: str, count: int, **sizes: Sequence[int]) -> None:
    """Refuse strides, paddings and the like that are too few or out of range.

    Errors: ShapeError that names the parameter.
    """
    for name, given in sizes.items():
        least = 0 if name.endswith("padding") else 1
        if len(given) != count or any(size < least for size in given):
            raise ShapeError(
                f"[{op}] {name} is {tuple(given)}; it needs {count} number(s) of at least {least}, one per "
                "spatial dim"
            )


def window_counts(spatial: Sizes, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Sizes:
    """How many windows fit in each dim; below 1 where none does."""
    rows = zip(spatial, size, stride, padding, dilation, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in rows)


def _output_shape(op: str, source: Sizes, weight: Sizes, params: tuple) -> Sizes:
    stride, padding, dilation, groups = params
    count = len(weight) - 2
    if count < 1 or len(source) != len(weight):
        raise ShapeError(
            f"[{op}] input {source}, weight {weight}; both need (batch, channels, *spatial) with as many "
            "spatial dims"
        )
    check_geometry(op, count, stride=stride, padding=padding, dilation=dilation)
    if weight[0] < 1:
        raise ShapeError(f"[{op}] expected weight to be at least 1 at dimension 0, but got {list(weight)}")
    if groups < 1 or weight[0] % groups or source[1] != weight[1] * groups:
        raise ShapeError(
            f"[{op}] Given groups={groups}, weight of size {list(weight)}, expected input{list(source)} to "
            f"have {weight[1] * groups} channels, but got {source[1]} channels instead; outputs must divide "
            "by groups"
        )
    counts = window_counts(source[2:], weight[2:], stride, padding, dilation)
    if any(n < 1 for n in counts):
        raise ShapeError(
            f"[{op}] Kernel size can't be greater than actual input size: input {source} with padding "
            f"{padding}, weight {weight} with dilation {dilation}; enlarge the input or the padding"
        )
    return (source[0], weight[0], *counts)


def _convolved(op: str, inputs: Any, params: tuple) -> Sizes:
    return _output_shape(op, inputs[0].shape, inputs[1].shape, params)


def _check_gradient(op: str, given: Sizes, expected: Sizes) -> None:
    if given != expected:
        raise ShapeError(f"[{op}] grad_output {given}; the output it belongs to has shape {expected}")


def _for_input_shape(op: str, inputs: Any, params: tuple) -> Sizes:
    shape = tuple(params[0])
    _check_gradient(op, inputs[0].shape, _output_shape(op, shape, inputs[1].shape, params[1:]))
    return shape


def _for_weight_shape(op: str, inputs: Any, params: tuple) -> Sizes:
    shape = tuple(params[0])
    _check_gradient(op, inputs[0].shape, _output_shape(op, inputs[1].shape, shape, params[1:]))
    return shape


def _columns(input: Any, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
    """All windows as columns: (N, groups, C/groups * prod(size), prod(P))."""
    samples, channels = input.array.shape[:2]
    count = len(size)
    seen = windows(padded(input, padding, padding), size, stride, dilation)
    counts = seen.array.shape[2 : 2 + count]
    seen = permute(seen, (0, 1, *range(2 + count, 2 + 2 * count), *range(2, 2 + count)))
    return as_shape(seen, (samples, groups, channels // groups * prod(size), prod(counts)))


def _by_group(weight: Any, groups: int) -> Any:
    """The weight as one matrix per group: (groups, O/groups, C/groups * prod(size))."""
    shape = weight.array.shape
    return as_shape(weight, (groups, shape[0] // groups, prod(shape[1:])))


@composite(
    dtype=one_numeric, shape=_convolved, amp="lower", eager=True, complex=HOLOMORPHIC, placement=CONVOLVED
)
def convolution(input, weight, stride: Plain, padding: Plain, dilation: Plain, groups=1):
    """Cross-correlation of `input` with `weight` over all spatial dims, with zeros around the input.

    Shapes: input (N, C, *S), weight (O, C/groups, *K) -> (N, O, *P) with P = (S + 2*padding - dilation*(K-1)
    - 1)//stride + 1
    Errors: ShapeError if channels do not fit, no window fits, or parameters are out of range.
    """
    size = weight.array.shape[2:]
    counts = window_counts(input.array.shape[2:], size, stride, padding, dilation)
    product = matmul(_by_group(weight, groups), _columns(input, size, stride, padding, dilation, groups))
    return as_shape(product, (input.array.shape[0], weight.array.shape[0], *counts))


@composite(
    dtype=one_numeric,
    shape=_for_input_shape,
    amp="lower",
    eager=True,
    complex=HOLOMORPHIC,
    placement=CONVOLVED,
)
def convolution_grad_input(
    grad_output, weight, input_shape: Plain, stride: Plain, padding: Plain, dilation: Plain, groups=1
):
    """Gradient of `convolution` for its input; also called transposed convolution.

    Shapes: grad_output (N, O, *P), weight (O, C/groups, *K) -> input_shape (N, C, *S)
    Errors: ShapeError if grad_output is not the shape that such a convolution gives.
    """
    samples, channels, *spatial = input_shape
    counts, size = grad_output.array.shape[2:], weight.array.shape[2:]
    grouped = as_shape(grad_output, (samples, groups, weight.array.shape[0] // groups, prod(counts)))
    seen = as_shape(
        matmul(transposed(_by_group(weight, groups)), grouped), (samples, channels, *size, *counts)
    )
    count = len(counts)
    seen = permute(seen, (0, 1, *range(2 + count, 2 + 2 * count), *range(2, 2 + count)))
    whole = gather_windows(
        seen, tuple(n + 2 * p for n, p in zip(spatial, padding, strict=True)), stride, dilation
    )
    if not any(padding):
        return whole
    inside = tuple(slice(p, p + n) for n, p in zip(spatial, padding, strict=True))
    return getitem(whole, (slice(None), slice(None), *inside))


@composite(dtype=one_numeric, shape=_for_weight_shape, amp="lower", eager=True, complex=HOLOMORPHIC)
def convolution_grad_weight(
    grad_output, input, weight_shape: Plain, stride: Plain, padding: Plain, dilation: Plain, groups=1
):
    """Gradient of `convolution` for its weight.

    Shapes: grad_output (N, O, *P), input (N, C, *S) -> weight_shape (O, C/groups, *K)
    Errors: ShapeError if grad_output is not the shape that such a convolution gives.
    """
    samples, outputs, *counts = grad_output.array.shape
    size = tuple(weight_shape[2:])
    depth, area = prod(weight_shape[1:]), samples * prod(counts)
    columns = permute(_columns(input, size, stride, padding, dilation, groups), (1, 0, 3, 2))
    grouped = as_shape(grad_output, (samples, groups, outputs // groups, prod(counts)))
    rows = as_shape(permute(grouped, (1, 2, 0, 3)), (groups, outputs // groups, area))
    return as_shape(matmul(rows, as_shape(columns, (groups, area, depth))), tuple(weight_shape))


convolution.vjp(
    input=lambda g, weight, like, stride, padding, dilation, groups: convolution_grad_input(
        g, weight, like.input.shape, stride, padding, dilation, groups
    ),
    weight=lambda g, input, like, stride, padding, dilation, groups: convolution_grad_weight(
        g, input, like.weight.shape, stride, padding, dilation, groups
    ),
)
convolution_grad_input.vjp(
    grad_output=lambda g, weight, stride, padding, dilation, groups: convolution(
        g, weight, stride, padding, dilation, groups
    ),
    weight=lambda g, grad_output, like, stride, padding, dilation, groups: convolution_grad_weight(
        grad_output, g, like.weight.shape, stride, padding, dilation, groups
    ),
)
convolution_grad_weight.vjp(
    grad_output=lambda g, input, stride, padding, dilation, groups: convolution(
        input, g, stride, padding, dilation, groups
    ),
    input=lambda g, grad_output, like, stride, padding, dilation, groups: convolution_grad_input(
        grad_output, g, like.input.shape, stride, padding, dilation, groups
    ),
)

# input, weight, stride, padding, dilation, groups
GEOMETRIES: tuple[tuple, ...] = (
    ((2, 3, 7), (4, 3, 3), (1,), (0,), (1,), 1),
    ((2, 3, 5, 6), (4, 3, 3, 2), (1, 1), (0, 0), (1, 1), 1),
    ((2, 4, 6, 5), (4, 2, 3, 3), (2, 1), (1, 2), (1, 1), 2),
    ((1, 2, 7, 7), (2, 1, 2, 2), (2, 3), (0, 1), (2, 2), 2),
    ((2, 2, 3, 4, 3), (3, 2, 2, 2, 1), (1, 2, 1), (0, 1, 0), (1, 1, 1), 1),
    ((0, 2, 4, 4), (3, 2, 1, 1), (1, 1), (0, 0), (1, 1), 1),
)


def _parameters(geometry: tuple) -> dict[str, Any]:
    return dict(zip(("stride", "padding", "dilation", "groups"), geometry[2:], strict=True))


@convolution.examples
def _(make):
    for geometry in GEOMETRIES:
        yield case(make(*geometry[0]), make(*geometry[1]), **_parameters(geometry))
    plain = _parameters(GEOMETRIES[1])
    yield case(make(2, 3, 5, 6, layout="sliced"), make(4, 3, 3, 2, layout="sliced"), **plain)
    yield fails(make(2, 3, 5, 6), make(4, 2, 3, 3), error="to have 2 channels, but got 3", **plain)
    yield fails(make(2, 3, 2, 6), make(4, 3, 3, 3), error="Kernel size can't be greater", **plain)
    yield fails(make(2, 3, 5), make(4, 3, 3, 3), error="as many spatial dims", **plain)
    yield fails(make(2, 3, 5, 6), make(4, 3, 3, 3), error="stride is", **{**plain, "stride": (0, 1)})


def _result_of(geometry: tuple) -> Sizes:
    return _output_shape("convolution", geometry[0], geometry[1], geometry[2:])


@convolution_grad_input.examples
def _(make):
    for geometry in GEOMETRIES:
        g = make(*_result_of(geometry))
        yield case(g, make(*geometry[1]), input_shape=geometry[0], **_parameters(geometry))
    plain = _parameters(GEOMETRIES[1])
    yield fails(make(2, 4, 9, 9), make(4, 3, 3, 2), input_shape=(2, 3, 5, 6), error="grad_output", **plain)


@convolution_grad_weight.examples
def _(make):
    for geometry in GEOMETRIES:
        g = make(*_result_of(geometry))
        yield case(g, make(*geometry[0]), weight_shape=geometry[1], **_parameters(geometry))
    plain = _parameters(GEOMETRIES[1])
    yield fails(make(2, 4, 9, 9), make(2, 3, 5, 6), weight_shape=(4, 3, 3, 2), error="grad_output", **plain)
