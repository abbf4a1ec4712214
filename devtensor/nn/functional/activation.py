"""Activations in PyTorch's spellings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import as_dtype
from devtensor.core.inplace import apply_inplace
from devtensor.core.op import Op
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor
from devtensor.functions import sampling
from devtensor.ops import activation as ops
from devtensor.ops.create import cast, full
from devtensor.ops.elementwise import relu as _relu
from devtensor.ops.functions import log, sigmoid, tanh
from devtensor.ops.index import scatter
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

gelu, glu, prelu, softplus, softsign, tanhshrink = (
    ops.gelu, ops.glu, ops.prelu, ops.softplus, ops.softsign, ops.tanhshrink
)  # fmt: skip
logsigmoid, hardshrink, softshrink = ops.logsigmoid, ops.hardshrink, ops.softshrink


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
    return _run(ops.hardtanh, input, inplace, 0.0, 6.0)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else `negative_slope` times it."""
    return _run(ops.leaky_relu, input, inplace, negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else alpha * (exp(input) - 1)."""
    return _run(ops.elu, input, inplace, alpha, 1.0, 1.0)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The scaled ELU that keeps mean 0 and variance 1 through deep networks.

    Source: Klambauer et al. 2017.
    """
    return _run(ops.elu, input, inplace, SELU_ALPHA, SELU_SCALE, 1.0)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` where it is positive, else alpha * (exp(input / alpha) - 1)."""
    return _run(ops.elu, input, inplace, alpha, 1.0, 1.0 / alpha)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` times its sigmoid."""
    return _run(ops.silu, input, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` times the tanh of its softplus."""
    return _run(ops.mish, input, inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """`input` kept between two bounds."""
    return _run(ops.hardtanh, input, inplace, min_val, max_val)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """input/6 + 1/2, kept between 0 and 1."""
    return _run(ops.hardsigmoid, input, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """`input` times its hardsigmoid."""
    return _run(ops.hardswish, input, inplace)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`input` where it exceeds `threshold`, else `value`."""
    return _run(ops.threshold, input, inplace, threshold, value)


def _into_itself(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def changed(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return function(input, *args, inplace=True, **kwargs)

    changed.__name__ = changed.__qualname__ = f"{function.__name__}_"
    changed.__doc__ = f"In-place form of `{function.__name__}`."
    return changed


relu_, leaky_relu_, elu_, selu_, celu_, hardtanh_, threshold_ = map(
    _into_itself, (relu, leaky_relu, elu, selu, celu, hardtanh, threshold)
)


def _usual_dim(input: Tensor, dim: int | None) -> int:
    """The dim that PyTorch takes when none is given: 0 for 0, 1 or 3 dims, else 1."""
    if dim is not None:
        return dim
    return 0 if input.array.ndim in (0, 1, 3) else 1


def _typed(input: Tensor, dtype: Any) -> Tensor:
    return input if dtype is None else cast(input, as_dtype(dtype))


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(input) / sum(exp(input)) along `dim`; with `dtype`, computed in it."""
    return ops.softmax(_typed(input, dtype), _usual_dim(input, dim))


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Softmax of minus `input`."""
    return ops.softmax(-_typed(input, dtype), _usual_dim(input, dim))


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Logarithm of `softmax`; with `dtype`, computed in it."""
    return ops.log_softmax(_typed(input, dtype), _usual_dim(input, dim))


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """A draw from a relaxed categorical distribution; `hard` gives one-hot values with the relaxed gradient.

    Source: Jang, Gu and Poole 2017.
    """
    noise = -log(-log(sampling.rand_like(logits) * (1 - 2.0**-24) + 2.0**-26))
    soft = ops.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    place = normalize_dim("gumbel_softmax", dim, soft.array.ndim)
    kind = soft.kind
    zeros = full(tuple(soft.array.shape), 0, kind.dtype, kind.device)
    winners = argmax(soft, place, True)
    ones = full(tuple(winners.array.shape), 1, kind.dtype, kind.device)
    return scatter(zeros, winners, ones, place) - soft.detach() + soft
