"""Activations in PyTorch's spellings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.callers import warn
from devtensor.core.errors import ArgumentError, DTypeError, ShapeError
from devtensor.core.holding import computed_in, refuse_unheld
from devtensor.core.inplace import apply_inplace, copy_into
from devtensor.core.naming import named
from devtensor.core.op import Op
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor
from devtensor.functions import sampling
from devtensor.functions.activations import along
from devtensor.ops import activation as ops
from devtensor.ops import piecewise
from devtensor.ops import softmax as softmaxes
from devtensor.ops.activation import relu as _relu
from devtensor.ops.compare import where
from devtensor.ops.create import full
from devtensor.ops.functions import log, tanh
from devtensor.ops.gathering import scatter
from devtensor.ops.hyperbolic import sigmoid
from devtensor.ops.reduce import argmax

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
]

# Klambauer et al. 2017, to the digits that float64 holds.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946

gelu, glu, prelu, softsign, tanhshrink = ops.gelu, ops.glu, piecewise.prelu, ops.softsign, ops.tanhshrink
logsigmoid = ops.logsigmoid


def _run(entry: Callable, input: Tensor, inplace: bool, *params: Any) -> Tensor:
    """An activation, into its input's own memory if so asked."""
    if not inplace:
        return entry(input, *params)
    op: Op = entry.op
    return apply_inplace(op, input, (), params)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else 0."""
    return _run(_relu, input, inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` kept between 0 and 6."""
    return _run(piecewise.hardtanh, input, inplace, 0.0, 6.0)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else `negative_slope` times it."""
    refuse_unheld("leaky_relu", computed_in(input.kind.dtype), negative_slope)
    return _run(piecewise.leaky_relu, input, inplace, negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else alpha * (exp(input) - 1)."""
    refuse_unheld("elu", computed_in(input.kind.dtype), alpha)
    return _run(ops.elu, input, inplace, alpha, 1.0, 1.0)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The scaled ELU that keeps mean 0 and variance 1 through deep networks.

    Source: Klambauer et al. 2017.
    """
    return _run(ops.elu, input, inplace, SELU_ALPHA, SELU_SCALE, 1.0)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else alpha * (exp(input / alpha) - 1)."""
    if alpha == 0:
        raise ArgumentError("[celu] ZeroDivisionError: alpha cannot be 0 for CELU")
    refuse_unheld("celu", computed_in(input.kind.dtype), alpha)
    return _run(ops.elu, input, inplace, alpha, 1.0, 1.0 / alpha)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` times its sigmoid."""
    return _run(ops.silu, input, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` times the tanh of its softplus."""
    return _run(ops.mish, input, inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` kept between two bounds."""
    if min_val > max_val:
        raise ArgumentError(f"[hardtanh] min_val cannot be greater than max_val: {min_val}, {max_val}")
    if min_val < 0 and not input.kind.dtype.is_signed:
        raise DTypeError("[hardtanh] cannot do hardtanh on an unsigned type with negative limits")
    refuse_unheld("hardtanh", input.kind.dtype, min_val, max_val)
    return _run(piecewise.hardtanh, input, inplace, min_val, max_val)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """input/6 + 1/2, kept between 0 and 1."""
    return _run(piecewise.hardsigmoid, input, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` times its hardsigmoid."""
    return _run(piecewise.hardswish, input, inplace)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`input` where it exceeds `threshold`, else `value`."""
    refuse_unheld("threshold", computed_in(input.kind.dtype), threshold)
    refuse_unheld("threshold", input.kind.dtype, value)
    return _run(piecewise.threshold, input, inplace, threshold, value)


def rrelu(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Any:
    """`input` where it is positive, else times a slope in [lower, upper): drawn in training, else the middle.

    Source: Xu et al. 2015.
    Errors: ShapeError if `lower` exceeds `upper`.
    """
    if lower > upper:
        raise ShapeError(
            f"[rrelu] Lower bound should be less than or equal to the upper bound: {lower}, {upper}"
        )
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    made = with_random_slopes(input, lower, upper)
    return copy_into(input, made) if inplace else made


def with_random_slopes(input: Any, lower: float, upper: float, generator: Any = None) -> Any:
    """`input` where it is positive, else times a slope drawn from [lower, upper)."""
    slopes = sampling.rand_like(input, generator=generator) * (upper - lower) + lower
    return where(input > 0, input, input * slopes)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * input)) / beta; `input` itself where beta * input exceeds `threshold`."""
    refuse_unheld("softplus", computed_in(input.kind.dtype), beta, threshold)
    return ops.softplus(input, beta, threshold)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """`input` where it is further than `lambd` from 0, else 0."""
    refuse_unheld("hardshrink", input.kind.dtype, lambd)
    return piecewise.hardshrink(input, lambd)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """`input` moved towards 0 by `lambd`, and 0 where it is nearer than that.

    Errors: ShapeError for a negative `lambd`.
    """
    if lambd < 0:
        raise ShapeError(f"[softshrink] lambda must not be negative, but found {lambd}")
    refuse_unheld("softshrink", input.kind.dtype, lambd)
    return piecewise.softshrink(input, lambd)


def _into_itself(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def changed(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return function(input, *args, inplace=True, **kwargs)

    return named(changed, f"{function.__name__}_", f"In-place form of `{function.__name__}`.")


relu_, leaky_relu_, elu_, selu_, celu_, hardtanh_, rrelu_, threshold_ = map(
    _into_itself, (relu, leaky_relu, elu, selu, celu, hardtanh, rrelu, threshold)
)


def _usual_dim(op: str, input: Tensor, dim: int | None) -> int:
    """The dim that PyTorch takes when none is given: 0 for 0, 1 or 3 dims, else 1."""
    if dim is not None:
        return dim
    usual = 0 if input.array.ndim in (0, 1, 3) else 1
    warn(f"[{op}] Implicit dimension choice for {op} is deprecated; took dim={usual}, which is to be given")
    return usual


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(input) / sum(exp(input)) along `dim`; with `dtype`, computed in it."""
    return along(softmaxes.softmax, input, _usual_dim("softmax", input, dim), dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Softmax of minus `input`."""
    return along(softmaxes.softmax, -input, _usual_dim("softmin", input, dim), dtype)  # type: ignore[operator]


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Logarithm of `softmax`; with `dtype`, computed in it."""
    return along(softmaxes.log_softmax, input, _usual_dim("log_softmax", input, dim), dtype)


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A draw from a relaxed categorical distribution; `hard` gives one-hot values with the relaxed gradient.

    Source: Jang, Gu and Poole 2017.
    """
    noise = -log(-log(sampling.rand_like(logits) * (1 - 2.0**-24) + 2.0**-26))
    soft = softmaxes.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    place = normalize_dim("gumbel_softmax", dim, soft.array.ndim)
    kind = soft.kind
    zeros = full(tuple(soft.array.shape), 0, kind.dtype, kind.device)
    winners = argmax(soft, place, True)
    ones = full(tuple(winners.array.shape), 1, kind.dtype, kind.device)
    return scatter(zeros, winners, ones, place) - soft.detach() + soft
