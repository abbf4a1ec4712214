"""Initial values for parameters, written into a tensor's own memory."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import complex64, complex128, float32, float64
from devtensor.core.errors import ArgumentError
from devtensor.core.naming import named
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.functions import sampling
from devtensor.linalg.factors import qr
from devtensor.ops.create import arange
from devtensor.ops.error_functions import erfinv
from devtensor.random import Generator

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

GAINS = {"sigmoid": 1.0, "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}
LINEAR = ("linear", *(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a layer's weights are scaled for the activation behind it.

    Errors: ArgumentError for an activation that is not known.
    """
    if nonlinearity in LINEAR:
        return 1.0
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ArgumentError(f"[calculate_gain] negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in GAINS:
        known = ", ".join((*LINEAR, *GAINS, "leaky_relu"))
        raise ArgumentError(f"[calculate_gain] Unsupported nonlinearity {nonlinearity}; it takes {known}")
    return GAINS[nonlinearity]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Numbers spread evenly over [a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal numbers."""
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers of which none lies outside [a, b]: the inverse distribution function of even ones.

    Units: a and b are values, not multiples of std.
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of values may be "
            "incorrect.",
            stacklevel=2,
        )
    low, high = (math.erf((limit - mean) / std / math.sqrt(2.0)) for limit in (a, b))
    kind = tensor.kind
    with no_grad():
        even = sampling.rand(
            tuple(tensor.array.shape), dtype=float64, device=kind.device, generator=generator
        )
        values: Any = erfinv(even * (high - low) + low) * (std * math.sqrt(2.0)) + mean
        return _fill(tensor, values.clamp(a, b))


def _fill(tensor: Any, value: Any) -> Tensor:
    with no_grad():
        return tensor.copy_(value)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element `val`."""
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Every element 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0."""
    return constant_(tensor, 0.0)


def _identity(rows: int, columns: int, kind: Any) -> Any:
    """Ones on the diagonal of a matrix of zeros."""
    down = arange(0, 1, rows, "int64", kind.device).unsqueeze(1)
    return (down == arange(0, 1, columns, "int64", kind.device)).to(kind.dtype)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix.

    Errors: ArgumentError unless there are 2 dims.
    """
    if tensor.array.ndim != 2:
        raise ArgumentError(
            f"[eye_] Only tensors with 2 dimensions are supported, got {tuple(tensor.array.shape)}"
        )
    return _fill(tensor, _identity(tensor.array.shape[0], tensor.array.shape[1], tensor.kind))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Convolution weights that pass channels on unchanged, as many as there are.

    Errors: ArgumentError unless there are 3 to 5 dims and outputs divide by groups.
    """
    shape = tuple(tensor.array.shape)
    if len(shape) not in (3, 4, 5) or shape[0] % groups:
        raise ArgumentError(
            "[dirac_] Only tensors with 3, 4, or 5 dimensions are supported, and dim 0 must be divisible by "
            f"groups; got {shape} and groups={groups}"
        )
    centre = tuple(size // 2 for size in shape[2:])
    rows = shape[0] // groups
    zeros_(tensor)
    with no_grad():
        for group in range(groups):
            part: Any = tensor[(slice(group * rows, (group + 1) * rows), slice(None), *centre)]
            part.copy_(_identity(rows, shape[1], tensor.kind))
    return tensor


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output sums over, and how many outputs an input reaches.

    Errors: ArgumentError for fewer than 2 dims.
    """
    shape = tuple(tensor.array.shape)
    if len(shape) < 2:
        raise ArgumentError(
            "[init] Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, got "
            f"{shape}"
        )
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"[init] Mode {mode} not supported, please use one of fan_in, fan_out")
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return fan_in if mode == "fan_in" else fan_out


def _is_empty(tensor: Tensor) -> bool:
    """Whether there is nothing to fill, which is worth a warning."""
    if 0 not in tensor.array.shape:
        return False
    warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
    return True


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Numbers spread evenly, of variance 2 * gain^2 / (fan_in + fan_out).

    Source: Glorot and Bengio 2010.
    """
    limit = gain * math.sqrt(6.0 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return uniform_(tensor, -limit, limit, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal numbers of variance 2 * gain^2 / (fan_in + fan_out).

    Source: Glorot and Bengio 2010.
    """
    std = gain * math.sqrt(2.0 / sum(_calculate_fan_in_and_fan_out(tensor)))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Numbers spread evenly, of variance gain^2 / fan; `a` is the slope of a leaky ReLU behind the layer.

    Source: He et al. 2015.
    """
    if _is_empty(tensor):
        return tensor
    std = calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))
    return uniform_(tensor, -math.sqrt(3.0) * std, math.sqrt(3.0) * std, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers of variance gain^2 / fan; `a` is the slope of a leaky ReLU behind the layer.

    Source: He et al. 2015.
    """
    if _is_empty(tensor):
        return tensor
    std = calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))
    return normal_(tensor, 0.0, std, generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Orthonormal rows, or columns if there are fewer of them, times gain; dims after the first count as one.

    Source: Saxe, McClelland and Ganguli 2014; the factor Q of a normal matrix, turned so that R's diagonal is
    positive (Mezzadri 2007), which makes all such matrices equally likely.
    Errors: ArgumentError for fewer than 2 dims.
    """
    shape = tuple(tensor.array.shape)
    if len(shape) < 2:
        raise ArgumentError(
            f"[orthogonal_] Only tensors with 2 or more dimensions are supported, got {shape}"
        )
    if 0 in shape:
        return tensor
    rows, columns = shape[0], math.prod(shape[1:])
    size = (max(rows, columns), min(rows, columns))
    dtype = tensor.kind.dtype if tensor.kind.dtype in (float64, complex64, complex128) else float32
    with no_grad():
        drawn = sampling.randn(size, dtype=dtype, device=tensor.kind.device, generator=generator)
        basis, upper = qr(drawn)
        basis = basis * upper.diagonal().sgn()
        basis = basis if rows >= columns else basis.transpose(0, 1)
        return _fill(tensor, basis.reshape(shape) * gain)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal numbers of which a share `sparsity` of each column, chosen at random, is zero.

    Source: Martens 2010.
    Errors: ArgumentError unless there are 2 dims.
    """
    if tensor.array.ndim != 2:
        raise ArgumentError(
            f"[sparse_] Only tensors with 2 dimensions are supported, got {tuple(tensor.array.shape)}"
        )
    rows, columns = tensor.array.shape
    gone = math.ceil(sparsity * rows)
    normal_(tensor, 0.0, std, generator)
    with no_grad():
        words: Any = sampling.rand((rows, columns), device=tensor.kind.device, generator=generator)
        rank = words.argsort(dim=0).argsort(dim=0)
        return _fill(tensor, tensor * (rank >= gone).to(tensor.kind.dtype))


def _old_name(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    new = function.__name__

    def renamed(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(
            f"`nn.init.{new[:-1]}` is now deprecated in favor of `nn.init.{new}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    return named(renamed, new[:-1], f"Old name of `{new}`.")


uniform, normal, constant, eye, dirac = map(_old_name, (uniform_, normal_, constant_, eye_, dirac_))
xavier_uniform, xavier_normal = map(_old_name, (xavier_uniform_, xavier_normal_))
kaiming_uniform, kaiming_normal = map(_old_name, (kaiming_uniform_, kaiming_normal_))
orthogonal, sparse = map(_old_name, (orthogonal_, sparse_))
