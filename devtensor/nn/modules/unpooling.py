"""Layers that undo pooling, and that pool over windows drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor
from devtensor.nn import functional
from devtensor.nn.functional.geometry import numbers
from devtensor.nn.modules.module import Module


class _MaxUnpoolNd(Module):
    """What unpoolings share."""

    ndim: int
    function: Callable[..., Tensor]

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        name = self._get_name()
        self.kernel_size = numbers(name, "kernel_size", kernel_size, self.ndim)
        self.stride = numbers(name, "stride", kernel_size if stride is None else stride, self.ndim)
        self.padding = numbers(name, "padding", padding, self.ndim)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        return type(self).function(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """Elements put back to where `MaxPool1d` took them from, zeros elsewhere.

    Shapes: input, indices (N, C, L') or (C, L') -> (N, C, L) or (C, L)
    """

    ndim = 1
    function = staticmethod(functional.max_unpool1d)


class MaxUnpool2d(_MaxUnpoolNd):
    """Elements put back to where `MaxPool2d` took them from, zeros elsewhere.

    Shapes: input, indices (N, C, H', W') or (C, H', W') -> (N, C, H, W) or (C, H, W)
    """

    ndim = 2
    function = staticmethod(functional.max_unpool2d)


class MaxUnpool3d(_MaxUnpoolNd):
    """Elements put back to where `MaxPool3d` took them from, zeros elsewhere.

    Shapes: input, indices (N, C, D', H', W') or without N -> (N, C, D, H, W) or without N
    """

    ndim = 3
    function = staticmethod(functional.max_unpool3d)


class _FractionalMaxPoolNd(Module):
    """What fractional poolings share."""

    ndim: int
    function: Callable[..., Any]

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        name = self._get_name()
        self.kernel_size = self._each(kernel_size)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else self._each(output_size)
        self.output_ratio = None if output_ratio is None else self._each(output_ratio)
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(f"[{name}] {name} requires one of output_size and output_ratio")
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ArgumentError(f"[{name}] output_ratio must be between 0 and 1 (got {output_ratio})")

    def _each(self, value: Any) -> tuple:
        return tuple(value) if isinstance(value, (tuple, list)) else (value,) * self.ndim

    def forward(self, input: Tensor) -> Any:
        return type(self).function(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """Largest element of windows over two spatial dims that are drawn at random (Graham 2014).

    Shapes: input (N, C, H, W) or (C, H, W) -> (N, C, *output_size) or (C, *output_size)
    """

    ndim = 2
    function = staticmethod(functional.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """Largest element of windows over three spatial dims that are drawn at random (Graham 2014).

    Shapes: input (N, C, D, H, W) or (C, D, H, W) -> (N, C, *output_size) or (C, *output_size)
    """

    ndim = 3
    function = staticmethod(functional.fractional_max_pool3d)
