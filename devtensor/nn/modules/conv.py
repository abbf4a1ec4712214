"""Convolution layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor
from devtensor.nn import functional, init
from devtensor.nn.functional.convolution import same_padding
from devtensor.nn.functional.geometry import numbers
from devtensor.nn.modules.fresh import parameter
from devtensor.nn.modules.linear import spread_by_fan_in
from devtensor.nn.modules.module import Module
from devtensor.nn.parameter import Parameter

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What convolutions of all dims share."""

    ndim: int
    function: Callable[..., Tensor]
    transposed = False
    output_padding: tuple[int, ...] = ()
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._check(in_channels, out_channels, groups, padding_mode)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = numbers(self._get_name(), "kernel_size", kernel_size, self.ndim)
        self.stride = numbers(self._get_name(), "stride", stride, self.ndim)
        self.padding = (
            padding if isinstance(padding, str) else numbers(self._get_name(), "padding", padding, self.ndim)
        )
        self.dilation = numbers(self._get_name(), "dilation", dilation, self.ndim)
        self.output_padding = self.output_padding or (0,) * self.ndim
        self.groups = groups
        self.padding_mode = padding_mode
        self._check_text()
        ends = (
            (in_channels, out_channels // groups)
            if self.transposed
            else (out_channels, in_channels // groups)
        )
        self.weight = parameter(*ends, *self.kernel_size, device=device, dtype=dtype)
        self.register_parameter("bias", parameter(out_channels, device=device, dtype=dtype) if bias else None)
        self.reset_parameters()

    def _check(self, in_channels: int, out_channels: int, groups: int, padding_mode: str) -> None:
        if groups <= 0:
            raise ArgumentError(f"[{self._get_name()}] groups must be a positive integer; got {groups}")
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ArgumentError(
                    f"[{self._get_name()}] {name} must be divisible by groups; got {channels} and {groups}"
                )
        if padding_mode not in PADDING_MODES:
            raise ArgumentError(
                f"[{self._get_name()}] padding_mode must be one of {set(PADDING_MODES)}, but got "
                f"padding_mode='{padding_mode}'"
            )

    def _check_text(self) -> None:
        if not isinstance(self.padding, str):
            return
        if self.padding not in ("same", "valid"):
            raise ArgumentError(
                f"[{self._get_name()}] Invalid padding string {self.padding!r}, should be one of 'valid', "
                "'same'"
            )
        if self.padding == "same" and any(step != 1 for step in self.stride):
            raise ArgumentError(
                f"[{self._get_name()}] padding='same' is not supported for strided convolutions; stride is "
                f"{self.stride}"
            )

    def reset_parameters(self) -> None:
        """Draw new initial values: evenly spread within 1/sqrt(inputs of an output), as in PyTorch."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            spread_by_fan_in(self.bias, self.weight)

    def _widths(self) -> tuple[int, ...]:
        """The padding as `functional.pad` takes it: last dim first."""
        if self.padding == "same":
            pairs = same_padding(self.kernel_size, self.dilation)
        else:
            pairs: Any = [(0, 0) if self.padding == "valid" else (p, p) for p in self.padding]
        return tuple(width for pair in reversed(pairs) for width in pair)

    def forward(self, input: Tensor) -> Tensor:
        function, padding = type(self).function, self.padding
        if self.padding_mode != "zeros":
            input, padding = functional.pad(input, self._widths(), self.padding_mode), 0
        return function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        plain = (0,) * self.ndim, (1,) * self.ndim
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        text += f", padding={self.padding}" if self.padding != plain[0] else ""
        text += f", dilation={self.dilation}" if self.dilation != plain[1] else ""
        text += f", output_padding={self.output_padding}" if self.output_padding != plain[0] else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        text += ", bias=False" if self.bias is None else ""
        return text + (f", padding_mode={self.padding_mode}" if self.padding_mode != "zeros" else "")


class Conv1d(_ConvNd):
    """Cross-correlation over one spatial dim.

    Shapes: input (N, C, L) or (C, L) -> (N, O, L') or (O, L') with L' = (L + 2*padding -
    dilation*(kernel_size-1) - 1)//stride + 1
    """

    ndim = 1
    function = staticmethod(functional.conv1d)


class Conv2d(_ConvNd):
    """Cross-correlation over two spatial dims.

    Shapes: input (N, C, H, W) or (C, H, W) -> (N, O, H', W') or (O, H', W'), sizes as in Conv1d
    """

    ndim = 2
    function = staticmethod(functional.conv2d)


class Conv3d(_ConvNd):
    """Cross-correlation over three spatial dims.

    Shapes: input (N, C, D, H, W) or (C, D, H, W) -> (N, O, D', H', W') or (O, D', H', W'), sizes as in Conv1d
    """

    ndim = 3
    function = staticmethod(functional.conv3d)


class _ConvTransposeNd(_ConvNd):
    """What transposed convolutions of all dims share."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ArgumentError(
                f'[{self._get_name()}] Only "zeros" padding mode is supported, got {padding_mode!r}'
            )
        extra = numbers(self._get_name(), "output_padding", output_padding, self.ndim)
        self.__dict__["output_padding"] = extra
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _extra(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """The output padding that gives `output_size`.

        Errors: ArgumentError if none does.
        """
        if output_size is None:
            return self.output_padding
        wanted = tuple(output_size)[-self.ndim :]
        spatial = input.array.shape[-self.ndim :]
        rows = zip(spatial, self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in rows]
        extra = tuple(want - size for want, size in zip(wanted, least, strict=True))
        if any(not 0 <= e < max(s, d) for e, s, d in zip(extra, self.stride, self.dilation, strict=True)):
            raise ArgumentError(
                f"[{self._get_name()}] requested an output size of {list(wanted)}; the least is {least}, "
                f"and each may exceed it by less than the stride {self.stride}"
            )
        return extra

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        extra = self._extra(input, output_size)
        return type(self).function(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )


class ConvTranspose1d(_ConvTransposeNd):
    """Transposed convolution over one spatial dim.

    Shapes: input (N, C, L) -> (N, O, L') with L' = (L-1)*stride - 2*padding + dilation*(kernel_size-1) +
    output_padding + 1
    """

    ndim = 1
    function = staticmethod(functional.conv_transpose1d)


class ConvTranspose2d(_ConvTransposeNd):
    """Transposed convolution over two spatial dims.

    Shapes: input (N, C, H, W) -> (N, O, H', W'), sizes as in ConvTranspose1d
    """

    ndim = 2
    function = staticmethod(functional.conv_transpose2d)


class ConvTranspose3d(_ConvTransposeNd):
    """Transposed convolution over three spatial dims.

    Shapes: input (N, C, D, H, W) -> (N, O, D', H', W'), sizes as in ConvTranspose1d
    """

    ndim = 3
    function = staticmethod(functional.conv_transpose3d)
