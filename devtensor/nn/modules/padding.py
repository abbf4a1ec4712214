"""Layers that put borders around their input."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor
from devtensor.nn import functional
from devtensor.nn.functional.geometry import numbers
from devtensor.nn.modules.module import Module


class _PadNd(Module):
    """What paddings of all modes and dims share.

    Units: `padding` counts elements: one number for all sides, or pairs (before, after) with the last dim
    first.
    """

    ndim: int
    mode: str

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = numbers(self._get_name(), "padding", padding, 2 * self.ndim)

    def forward(self, input: Tensor) -> Tensor:
        return functional.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return str(self.padding)


class _ConstantPadNd(_PadNd):
    """What paddings with one number share."""

    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return functional.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPadNd(_ConstantPadNd):
    """What paddings with zeros share."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return str(self.padding)


class _CircularPadNd(_PadNd):
    """What circular paddings share."""

    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        if input.array.ndim not in (self.ndim + 1, self.ndim + 2):
            raise ArgumentError(
                f"[{self._get_name()}] expected {self.ndim + 1}D or {self.ndim + 2}D input (got "
                f"{input.array.ndim}D input)"
            )
        return super().forward(input)


class ConstantPad1d(_ConstantPadNd):
    """Borders around the last dim filled with `value`."""

    ndim = 1


class ConstantPad2d(_ConstantPadNd):
    """Borders around the last two dims filled with `value`."""

    ndim = 2


class ConstantPad3d(_ConstantPadNd):
    """Borders around the last three dims filled with `value`."""

    ndim = 3


class ZeroPad1d(_ZeroPadNd):
    """Borders around the last dim of zeros."""

    ndim = 1


class ZeroPad2d(_ZeroPadNd):
    """Borders around the last two dims of zeros."""

    ndim = 2


class ZeroPad3d(_ZeroPadNd):
    """Borders around the last three dims of zeros."""

    ndim = 3


class ReflectionPad1d(_PadNd):
    """Borders around the last dim that mirror the input at its edge elements."""

    ndim = 1
    mode = "reflect"


class ReflectionPad2d(_PadNd):
    """Borders around the last two dims that mirror the input at its edge elements."""

    ndim = 2
    mode = "reflect"


class ReflectionPad3d(_PadNd):
    """Borders around the last three dims that mirror the input at its edge elements."""

    ndim = 3
    mode = "reflect"


class ReplicationPad1d(_PadNd):
    """Borders around the last dim of the edge elements."""

    ndim = 1
    mode = "replicate"


class ReplicationPad2d(_PadNd):
    """Borders around the last two dims of the edge elements."""

    ndim = 2
    mode = "replicate"


class ReplicationPad3d(_PadNd):
    """Borders around the last three dims of the edge elements."""

    ndim = 3
    mode = "replicate"


class CircularPad1d(_CircularPadNd):
    """Borders around the last dim taken from the other end."""

    ndim = 1


class CircularPad2d(_CircularPadNd):
    """Borders around the last two dims taken from the other end."""

    ndim = 2


class CircularPad3d(_CircularPadNd):
    """Borders around the last three dims taken from the other end."""

    ndim = 3
