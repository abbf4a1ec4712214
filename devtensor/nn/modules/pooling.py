"""Pooling layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.nn import functional
from devtensor.nn.modules.module import Module


class _MaxPoolNd(Module):
    """What maximum poolings share."""

    function: Callable[..., Any]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Any:
        return type(self).function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """Largest element of each window over one spatial dim.

    Shapes: input (N, C, L) or (C, L) -> (N, C, L') or (C, L')
    """

    function = staticmethod(functional.max_pool1d)


class MaxPool2d(_MaxPoolNd):
    """Largest element of each window over two spatial dims.

    Shapes: input (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W')
    """

    function = staticmethod(functional.max_pool2d)


class MaxPool3d(_MaxPoolNd):
    """Largest element of each window over three spatial dims.

    Shapes: input (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W')
    """

    function = staticmethod(functional.max_pool3d)


class _AvgPoolNd(Module):
    """What mean poolings share."""

    function: Callable[..., Tensor]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    """Mean of each window over one spatial dim.

    Shapes: input (N, C, L) or (C, L) -> (N, C, L') or (C, L')
    """

    function = staticmethod(functional.avg_pool1d)

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        steps = kernel_size if stride is None else stride
        super().__init__(_single(kernel_size), _single(steps), _single(padding), ceil_mode, count_include_pad)


def _single(value: Any) -> Any:
    return (value,) if isinstance(value, int) else tuple(value)


class AvgPool2d(_AvgPoolNd):
    """Mean of each window over two spatial dims.

    Shapes: input (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W')
    """

    function = staticmethod(functional.avg_pool2d)


class AvgPool3d(_AvgPoolNd):
    """Mean of each window over three spatial dims.

    Shapes: input (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W')
    """

    function = staticmethod(functional.avg_pool3d)


class _AdaptiveAvgPoolNd(Module):
    """What adaptive mean poolings share."""

    function: Callable[..., Tensor]

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """Means of windows that tile the length so that `output_size` of them come out.

    Shapes: input (N, C, L) or (C, L) -> (N, C, output_size) or (C, output_size)
    """

    function = staticmethod(functional.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """Means of windows that tile both spatial dims so that `output_size` of them come out.

    Shapes: input (N, C, H, W) or (C, H, W) -> (N, C, *output_size) or (C, *output_size)
    """

    function = staticmethod(functional.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """Means of windows that tile all three spatial dims so that `output_size` of them come out.

    Shapes: input (N, C, D, H, W) or (C, D, H, W) -> (N, C, *output_size) or (C, *output_size)
    """

    function = staticmethod(functional.adaptive_avg_pool3d)


class _AdaptiveMaxPoolNd(Module):
    """What adaptive maximum poolings share."""

    function: Callable[..., Any]

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return type(self).function(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """Largest elements of windows that tile the length so that `output_size` of them come out.

    Shapes: input (N, C, L) or (C, L) -> (N, C, output_size) or (C, output_size)
    """

    function = staticmethod(functional.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """Largest elements of windows that tile both spatial dims so that `output_size` of them come out.

    Shapes: input (N, C, H, W) or (C, H, W) -> (N, C, *output_size) or (C, *output_size)
    """

    function = staticmethod(functional.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """Largest elements of windows that tile all three spatial dims so that `output_size` of them come out.

    Shapes: input (N, C, D, H, W) or (C, D, H, W) -> (N, C, *output_size) or (C, *output_size)
    """

    function = staticmethod(functional.adaptive_max_pool3d)


class _LPPoolNd(Module):
    """What power poolings share."""

    function: Callable[..., Tensor]

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        return type(self).function(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """The p-norm of each window over one spatial dim.

    Shapes: input (N, C, L) or (C, L) -> (N, C, L') or (C, L')
    """

    function = staticmethod(functional.lp_pool1d)


class LPPool2d(_LPPoolNd):
    """The p-norm of each window over two spatial dims.

    Shapes: input (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W')
    """

    function = staticmethod(functional.lp_pool2d)


class LPPool3d(_LPPoolNd):
    """The p-norm of each window over three spatial dims.

    Shapes: input (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W')
    """

    function = staticmethod(functional.lp_pool3d)
