"""Convolution as one matrix product per block of samples, whose columns stay in the cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from devtensor.backend.arraylib.windows import Sizes, grouped_weight, inner_planes, output_counts, taps
from devtensor.backend.protocol import Kernel
from devtensor_numpy import depthwise
from devtensor_numpy.blocks import spans

COLUMNS = 1 << 18
"""Elements of the column buffer: 1 MiB of float32."""


@dataclass
class Columns:
    """The columns (channels, *window, samples, *counts) of a block of samples; buffers serve every block."""

    channels: int
    spatial: Sizes
    window: Sizes
    counts: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes
    groups: int
    samples: int
    dtype: np.dtype
    scatters: bool = False

    def __post_init__(self) -> None:
        depth = self.channels * math.prod(self.window) * math.prod(self.counts)
        self.step = max(1, min(self.samples, COLUMNS // max(depth, 1)))
        self.padded_shape = tuple(n + 2 * p for n, p in zip(self.spatial, self.padding, strict=True))
        self.buffer = np.empty(self.step * depth, self.dtype)
        padded = (self.step, self.channels, *self.padded_shape)
        self.border = np.zeros(padded if self.scatters or any(self.padding) else 0, self.dtype)

    def blocks(self) -> Iterator[slice]:
        """The samples of each block."""
        return spans(self.samples, self.step)

    def view(self, samples: int) -> ndarray:
        """The buffer as columns of that many samples."""
        shape = (self.channels, *self.window, samples, *self.counts)
        return self.buffer[: math.prod(shape)].reshape(shape)

    def matrix(self, samples: int) -> ndarray:
        """The same as a matrix for each group."""
        depth = self.channels // self.groups * math.prod(self.window)
        return self.view(samples).reshape(self.groups, depth, samples * math.prod(self.counts))

    def gather(self, x: ndarray) -> ndarray:
        """Fill the columns from a block of samples."""
        samples = x.shape[0]
        if any(self.padding):
            self.border[(slice(samples), *inner_planes(self.spatial, self.padding))] = x
            x = self.border[:samples]
        self.view(samples)[...] = self.windows(x if x.flags.c_contiguous else np.ascontiguousarray(x))
        return self.matrix(samples)

    def windows(self, x: ndarray) -> ndarray:
        """What each place of the window sees of padded samples in rows: a view, ordered as the columns."""
        batch, plane, *steps = x.strides
        inside = [step * apart for step, apart in zip(steps, self.dilation, strict=True)]
        across = [step * apart for step, apart in zip(steps, self.stride, strict=True)]
        shape = (self.channels, *self.window, x.shape[0], *self.counts)
        return ndarray(shape, x.dtype, x, 0, (plane, *inside, batch, *across))

    def scatter(self, result: ndarray) -> None:
        """Add the columns back to where their taps came from, into a block of samples."""
        samples = result.shape[0]
        border = self.border[:samples]
        border.fill(0)
        planes, columns = border.swapaxes(0, 1), self.view(samples)
        for place, cut in taps(self.window, self.counts, self.stride, self.dilation):
            planes[cut] += columns[(slice(None), *place)]
        result[...] = border[inner_planes(self.spatial, self.padding)]


def by_group(g: ndarray, groups: int) -> ndarray:
    """(N, O, *P) as (groups, O/groups, N * prod(P))."""
    return g.swapaxes(0, 1).reshape(groups, g.shape[1] // groups, g.size // g.shape[1])


def columns_for(
    shape: Sizes,
    weight_shape: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
    dtype: np.dtype,
    scatters: bool = False,
) -> Columns:
    """Columns for an input and a weight of these shapes."""
    samples, channels, *spatial = shape
    window = weight_shape[2:]
    counts = output_counts(tuple(spatial), window, stride, padding, dilation)
    return Columns(
        channels, tuple(spatial), window, counts, stride, padding, dilation, groups, samples, dtype, scatters
    )


def by_shape(generic: Kernel, blocked: Kernel, single: Kernel, weight_shape: Callable[..., Sizes]) -> Kernel:
    """The kernel that suits the weight's shape: `single` where each channel has a window of its own.

    The blocked one serves where columns are deeper than the outputs are many: the price of blocks is a copy
    of the outputs, too much for a layer of few channels.
    """

    def kernel(*arguments: Any) -> ndarray:
        outputs, *depth = shape = weight_shape(*arguments)
        if depthwise.is_depthwise(shape, arguments[-1]):
            return single(*arguments[:-1])
        chosen = blocked if math.prod(depth) >= 2 * outputs else generic
        return chosen(*arguments)

    return kernel


def convolution_kernels(generic: Mapping[str, Kernel]) -> dict[str, Kernel]:
    """The three kernels of convolution; `generic` has the ones for shallow columns."""
    return {
        "convolution": by_shape(
            generic["convolution"], convolution, depthwise.convolution, lambda x, w, *_: w.shape
        ),
        "convolution_grad_input": by_shape(
            generic["convolution_grad_input"],
            convolution_grad_input,
            depthwise.convolution_grad_input,
            lambda g, w, *_: w.shape,
        ),
        "convolution_grad_weight": by_shape(
            generic["convolution_grad_weight"],
            convolution_grad_weight,
            depthwise.convolution_grad_weight,
            lambda g, x, shape, *_: shape,
        ),
    }


def convolution(
    x: ndarray, w: ndarray, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> ndarray:
    """Shapes: x (N, C, *S), w (O, C/groups, *K) -> (N, O, *P)."""
    columns = columns_for(x.shape, w.shape, stride, padding, dilation, groups, x.dtype)
    outputs = w.shape[0]
    result = np.empty((x.shape[0], outputs, *columns.counts), x.dtype)
    weight = grouped_weight(w, groups)
    for block in columns.blocks():
        samples = block.stop - block.start
        product = np.matmul(weight, columns.gather(x[block]))
        result[block] = product.reshape(outputs, samples, *columns.counts).swapaxes(0, 1)
    return result


def convolution_grad_input(
    g: ndarray,
    w: ndarray,
    input_shape: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> ndarray:
    """Gradient for x."""
    columns = columns_for(input_shape, w.shape, stride, padding, dilation, groups, g.dtype, scatters=True)
    result = np.empty(input_shape, g.dtype)
    weight = np.ascontiguousarray(grouped_weight(w, groups).swapaxes(1, 2))
    for block in columns.blocks():
        np.matmul(weight, by_group(g[block], groups), out=columns.matrix(block.stop - block.start))
        columns.scatter(result[block])
    return result


def convolution_grad_weight(
    g: ndarray,
    x: ndarray,
    weight_shape: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> ndarray:
    """Gradient for w, summed over the blocks."""
    columns = columns_for(x.shape, weight_shape, stride, padding, dilation, groups, x.dtype)
    result = np.zeros((groups, weight_shape[0] // groups, math.prod(weight_shape[1:])), x.dtype)
    for block in columns.blocks():
        result += np.matmul(by_group(g[block], groups), columns.gather(x[block]).swapaxes(1, 2))
    return result.reshape(weight_shape)
