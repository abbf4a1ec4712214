"""The gradients of convolutions by themselves, as functions of their parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.naming import named
from devtensor.nn.modules.utils import _ntuple
from devtensor.ops.conv import convolution_grad_input, convolution_grad_weight

__all__: list[str] = []


def _input_gradient(count: int) -> Callable[..., Any]:
    spread = _ntuple(count)

    def gradient(
        input_size: Any,
        weight: Any,
        grad_output: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        return convolution_grad_input(
            grad_output,
            weight,
            tuple(input_size),
            spread(stride),
            spread(padding),
            spread(dilation),
            groups,
        )

    return named(gradient, f"conv{count}d_input", f"The gradient of `conv{count}d` for its input.")


def _weight_gradient(count: int) -> Callable[..., Any]:
    spread = _ntuple(count)

    def gradient(
        input: Any,
        weight_size: Any,
        grad_output: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        return convolution_grad_weight(
            grad_output,
            input,
            tuple(weight_size),
            spread(stride),
            spread(padding),
            spread(dilation),
            groups,
        )

    return named(gradient, f"conv{count}d_weight", f"The gradient of `conv{count}d` for its weight.")


conv1d_input, conv2d_input, conv3d_input = map(_input_gradient, (1, 2, 3))
conv1d_weight, conv2d_weight, conv3d_weight = map(_weight_gradient, (1, 2, 3))
