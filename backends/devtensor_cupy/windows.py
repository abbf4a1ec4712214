"""Convolution by kernels of our own: a product over columns, a plain product for windows of 1, or directly.

What the kernels do not do (other dtypes, more than two spatial dims, a device without its compiler) the
generic ones do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import cupy

from devtensor.backend.arraylib.library import dtype_name
from devtensor.backend.arraylib.windows import Sizes, grouped_weight, output_counts
from devtensor.backend.protocol import Kernel
from devtensor_cupy.arrays_in_rows import in_rows, launch
from devtensor_cupy.compile.prelude import C_TYPES
from devtensor_cupy.launching import launcher

NAMES = ("convolution", "convolution_grad_input", "convolution_grad_weight")
LIMIT = 1 << 31
"""Bytes of columns at a time: more samples are done one part after the other."""

Product = Callable[[Any, Any], Any]


class Geometry:
    """A convolution's sizes with two spatial dims, as the kernels take them."""

    def __init__(
        self, image: Sizes, weight: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
    ) -> None:
        self.image, self.weight, self.groups = flat(image, 2), flat(weight, 2), groups
        self.stride, self.padding, self.dilation = flat(stride), flat(padding, fill=0), flat(dilation)
        window = self.weight[2:]
        self.counts = output_counts(self.image[2:], window, self.stride, self.padding, self.dilation)
        self.depth = self.weight[1] * math.prod(window)

    def sizes(self, samples: int | None = None) -> list[int]:
        """The sizes behind a kernel's arrays, of all samples or of some."""
        batch = self.image[0] if samples is None else samples
        parts = self.image[1:], self.weight[2:], self.stride, self.padding, self.dilation, self.counts
        return [batch, *(size for part in parts for size in part)]

    @property
    def is_product(self) -> bool:
        """Whether windows are single elements, one for each of the image."""
        return self.weight[2:] == self.stride == (1, 1) and self.padding == (0, 0)

    @property
    def is_depthwise(self) -> bool:
        """Whether every channel has filters of its own."""
        return self.groups > 1 and self.weight[1] == 1

    @property
    def multiplier(self) -> int:
        """Filters of each channel, if it is depthwise."""
        return self.weight[0] // self.groups

    def parts(self, itemsize: int) -> list[slice]:
        """Samples whose columns are held at a time."""
        one = self.image[1] * math.prod((*self.weight[2:], *self.counts)) * itemsize
        step = max(1, LIMIT // max(one, 1))
        return [slice(start, start + step) for start in range(0, self.image[0], step)]

    def columns(self, image: Any) -> Any:
        """All windows of some samples: (N, groups, depth, spots)."""
        samples, spots = image.shape[0], math.prod(self.counts)
        made = cupy.empty((samples, self.groups, self.depth, spots), image.dtype)
        launch("image_to_columns", made.size, image.dtype, image, made, *self.sizes(samples))
        return made

    def by_group(self, outputs: Any) -> Any:
        """(N, O, *P) as (N, groups, O/groups, spots)."""
        return outputs.reshape(
            outputs.shape[0], self.groups, self.weight[0] // self.groups, math.prod(self.counts)
        )


def flat(sizes: Sizes, first: int = 0, fill: int = 1) -> Sizes:
    """Sizes with two spatial dims, the first of which is `fill` where there is but one."""
    return sizes if len(sizes) == first + 2 else (*sizes[:first], fill, *sizes[first:])


def convolution(product: Product, x: Any, w: Any, geometry: Geometry) -> Any:
    """Shapes: x (N, C, H, W), w (O, C/groups, h, w) -> (N, O, *P)."""
    out_shape = (x.shape[0], w.shape[0], *geometry.counts)
    weight = grouped_weight(w, geometry.groups)
    if geometry.is_product:
        seen = x.reshape(x.shape[0], geometry.groups, geometry.depth, math.prod(geometry.counts))
        return product(weight, seen).reshape(out_shape)
    result = cupy.empty(out_shape, x.dtype)
    x, w = in_rows(x), in_rows(w)
    if geometry.is_depthwise:
        values = [x, w, None, result, geometry.multiplier, *geometry.sizes()]
        launch("depthwise", result.size, x.dtype, *values)
        return result
    parts = geometry.parts(x.dtype.itemsize)
    for part in parts:
        made = product(weight, geometry.columns(x[part])).reshape(-1, *out_shape[1:])
        if len(parts) == 1:
            return made
        result[part] = made
    return result


def grad_input(product: Product, g: Any, w: Any, geometry: Geometry) -> Any:
    """Gradient for x: columns of gradients, summed where their taps came from."""
    transposed = grouped_weight(w, geometry.groups).swapaxes(1, 2)
    if geometry.is_product:
        return product(transposed, geometry.by_group(g)).reshape(geometry.image)
    result = cupy.empty(geometry.image, g.dtype)
    g, w = in_rows(g), in_rows(w)
    if geometry.is_depthwise:
        values = [g, w, result, geometry.multiplier, *geometry.sizes()]
        launch("gradient_depthwise_image", result.size, g.dtype, *values)
        return result
    for part in geometry.parts(g.dtype.itemsize):
        columns = in_rows(product(transposed, geometry.by_group(g[part])))
        seen = result[part]
        launch("columns_to_image", seen.size, g.dtype, columns, seen, *geometry.sizes(seen.shape[0]))
    return result


def grad_weight(product: Product, g: Any, x: Any, geometry: Geometry) -> Any:
    """Gradient for w: gradients times columns, summed over the samples in float32 or wider."""
    if geometry.is_depthwise and not geometry.is_product:
        result = cupy.empty(geometry.weight, x.dtype)
        values = [in_rows(g), in_rows(x), result, geometry.multiplier, *geometry.sizes()]
        launch("gradient_depthwise_taps", result.size, x.dtype, *values)
        return result
    wide = cupy.float64 if dtype_name(x) == "float64" else cupy.float32
    total: Any = None
    for part in geometry.parts(x.dtype.itemsize):
        samples = x[part]
        if geometry.is_product:
            shape = (samples.shape[0], geometry.groups, geometry.depth, math.prod(geometry.counts))
            seen = samples.reshape(shape)
        else:
            seen = geometry.columns(in_rows(samples))
        found = product(geometry.by_group(g[part]), seen.swapaxes(2, 3)).astype(wide, copy=False).sum(axis=0)
        total = found if total is None else total + found
    return total.astype(x.dtype, copy=False).reshape(geometry.weight)


def ready(array: Any, spatial: int) -> bool:
    """Whether our kernels can be used: for the dtype and so many spatial dims, on this device."""
    name = dtype_name(array)
    return name in C_TYPES and spatial in (1, 2) and launcher.kernels(f"image_to_columns_{name}") is not None


def convolution_kernels(generic: Mapping[str, Kernel], product: Product) -> dict[str, Kernel]:
    """The three kernels of convolution over `product`, batches of matrix products in any floating dtype.

    `generic` has those for everything else, by dtype: half types in float32.
    """
    forward, to_input, to_weight = (generic[name] for name in NAMES)

    def convolve(x: Any, w: Any, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> Any:
        if not (x.size and w.size and ready(x, x.ndim - 2)):
            return forward(x, w, stride, padding, dilation, groups)
        geometry = Geometry(x.shape, w.shape, stride, padding, dilation, groups)
        made = convolution(product, x.reshape(geometry.image), w.reshape(geometry.weight), geometry)
        return made.reshape(made.shape[:2] + made.shape[4 - (x.ndim - 2) :])

    def for_input(
        g: Any, w: Any, input_shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
    ) -> Any:
        if not (g.size and w.size and ready(g, g.ndim - 2)):
            return to_input(g, w, input_shape, stride, padding, dilation, groups)
        geometry = Geometry(input_shape, w.shape, stride, padding, dilation, groups)
        given = g.reshape(*g.shape[:2], *geometry.counts)
        return grad_input(product, given, w.reshape(geometry.weight), geometry).reshape(input_shape)

    def for_weight(
        g: Any, x: Any, weight_shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
    ) -> Any:
        if not (g.size and x.size and math.prod(weight_shape) and ready(x, x.ndim - 2)):
            return to_weight(g, x, weight_shape, stride, padding, dilation, groups)
        geometry = Geometry(x.shape, weight_shape, stride, padding, dilation, groups)
        given = g.reshape(*g.shape[:2], *geometry.counts)
        return grad_weight(product, given, x.reshape(geometry.image), geometry).reshape(weight_shape)

    return dict(zip(NAMES, (convolve, for_input, for_weight), strict=True))
