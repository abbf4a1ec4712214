"""Batch normalisation folded into the layer before it, for use after training."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, TypeVar

from devtensor.core.errors import ShapeError
from devtensor.nn.modules.batchnorm import _BatchNorm
from devtensor.nn.modules.conv import _ConvNd
from devtensor.nn.modules.linear import Linear
from devtensor.nn.parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]

Convolution = TypeVar("Convolution", bound=_ConvNd)
Dense = TypeVar("Dense", bound=Linear)


class FusionError(ShapeError, AssertionError):
    """Layers that cannot become one."""


def _check(layer: Any, bn: Any) -> None:
    if layer.training or bn.training:
        raise FusionError("[fusion] Fusion only for eval! Call eval() on both layers")
    if bn.running_mean is None or bn.running_var is None:
        raise FusionError(
            "[fusion] bn.running_mean and bn.running_var must not be None; there is nothing to fold"
        )


def fuse_conv_bn_eval(conv: Convolution, bn: _BatchNorm, transpose: bool = False) -> Convolution:
    """A copy of a convolution that computes what it and the batch norm behind it do.

    `transpose` says that it is a transposed one.

    Errors: FusionError (an AssertionError) in training mode, or without running statistics.
    """
    _check(conv, bn)
    fused: Any = deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight,
        fused.bias,
        bn.running_mean,
        bn.running_var,
        bn.eps,
        bn.weight,
        bn.bias,
        transpose,
    )
    return fused


def fuse_conv_bn_weights(
    conv_w: Any,
    conv_b: Any,
    bn_rm: Any,
    bn_rv: Any,
    bn_eps: float,
    bn_w: Any,
    bn_b: Any,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """The weight and bias of a convolution with a batch norm folded in; each of the last may be None."""
    scale = (bn_rv + bn_eps).rsqrt() if bn_w is None else bn_w * (bn_rv + bn_eps).rsqrt()
    shape = [1] * conv_w.dim()
    shape[1 if transpose else 0] = -1
    weight = (conv_w * scale.reshape(shape)).to(conv_w.dtype)
    bias = (-bn_rm if conv_b is None else conv_b - bn_rm) * scale
    bias = bias if bn_b is None else bias + bn_b
    return _parameters(conv_w, weight, conv_b, bias)


def _parameters(old_weight: Any, weight: Any, old_bias: Any, bias: Any) -> tuple[Parameter, Parameter]:
    """The results as parameters, to be trained if the old ones were."""
    dtype = old_weight.dtype if old_bias is None else old_bias.dtype
    trained = old_bias is not None and old_bias.requires_grad
    return Parameter(weight.detach(), old_weight.requires_grad), Parameter(bias.detach().to(dtype), trained)


def fuse_linear_bn_eval(linear: Dense, bn: _BatchNorm) -> Dense:
    """A copy of a linear layer that computes what it and the batch norm behind it do.

    Errors: FusionError (an AssertionError) in training mode, without running statistics, or if the features
    differ.
    """
    _check(linear, bn)
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise FusionError(
            "[fuse_linear_bn_eval] To fuse, linear.out_features == bn.num_features or bn.num_features == 1, "
            f"got linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    fused: Any = deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[Parameter, Parameter]:
    """The weight and bias of a linear layer with a batch norm folded in; None stands for no bias."""
    scale = bn_w * (bn_rv + bn_eps).rsqrt()
    weight = linear_w * scale.unsqueeze(-1).to(linear_w.dtype)
    bias = (-bn_rm if linear_b is None else linear_b - bn_rm) * scale + bn_b
    return _parameters(linear_w, weight, linear_b, bias)
