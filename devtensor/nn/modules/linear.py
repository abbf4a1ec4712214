"""Fully connected layers."""

from __future__ import annotations

import math
from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.nn import functional, init
from devtensor.nn.modules.fresh import parameter
from devtensor.nn.modules.module import Module
from devtensor.nn.parameter import Parameter


class Identity(Module):
    """What it is given.

    Shapes: (*S) -> (*S)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        return input


class Linear(Module):
    """`input` times the transpose of `weight`, plus `bias`.

    Shapes: input (*B, in_features) -> (*B, out_features)
    Source: weight and bias start evenly spread within 1/sqrt(in_features), as in PyTorch.
    """

    __constants__ = ("in_features", "out_features")
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = parameter(out_features, in_features, device=device, dtype=dtype)
        self.register_parameter("bias", parameter(out_features, device=device, dtype=dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            spread_by_fan_in(self.bias, self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


class NonDynamicallyQuantizableLinear(Linear):
    """The Linear behind the heads of attention; its class tells it from others."""


def spread_by_fan_in(bias: Tensor, weight: Tensor) -> None:
    """Spread a bias evenly within 1/sqrt(inputs of the layer)."""
    fan_in, _ = init._calculate_fan_in_and_fan_out(weight)
    if fan_in > 0:
        init.uniform_(bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))


class Bilinear(Module):
    """input1 times each matrix of `weight` times input2, plus `bias`.

    Shapes: input1 (*B, in1_features), input2 (*B, in2_features) -> (*B, out_features)
    Source: weight and bias start evenly spread within 1/sqrt(in1_features), as in PyTorch.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = parameter(out_features, in1_features, in2_features, device=device, dtype=dtype)
        self.register_parameter("bias", parameter(out_features, device=device, dtype=dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        limit = 1 / math.sqrt(self.in1_features)
        for param in self.parameters(recurse=False):
            init.uniform_(param, -limit, limit)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return functional.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
