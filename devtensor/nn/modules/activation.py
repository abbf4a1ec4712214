"""Activation layers."""

from __future__ import annotations

import warnings
from typing import Any

from devtensor.core.errors import DevtensorError, ShapeError
from devtensor.core.tensor import Tensor
from devtensor.nn import functional, init
from devtensor.nn.modules.attention import MultiheadAttention  # noqa: F401 - at PyTorch's path
from devtensor.nn.modules.circumstances import announce
from devtensor.nn.modules.fresh import parameter
from devtensor.nn.modules.module import Module
from devtensor.nn.parameter import Parameter


class _Activation(Module):
    """An activation without settings: its function of `functional`, by name."""

    name: str

    def forward(self, input: Tensor) -> Tensor:
        return getattr(functional, self.name)(input)


class _MayOverwrite(Module):
    """An activation that may write into its input: its function of `functional`, by name."""

    name: str

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def _settings(self) -> tuple:
        return ()

    def forward(self, input: Tensor) -> Tensor:
        return getattr(functional, self.name)(input, *self._settings(), inplace=self.inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""

    def _described(self, **settings: Any) -> str:
        parts = [f"{name}={value}" for name, value in settings.items()]
        return ", ".join([*parts, *(["inplace=True"] if self.inplace else [])])


class ReLU(_MayOverwrite):
    """`input` where it is positive, else 0."""

    name = "relu"


class SELU(_MayOverwrite):
    """The scaled ELU of self-normalising networks (Klambauer et al. 2017)."""

    name = "selu"


class SiLU(_MayOverwrite):
    """`input` times its sigmoid."""

    name = "silu"


class Mish(_MayOverwrite):
    """`input` times the tanh of its softplus."""

    name = "mish"


class Hardswish(_MayOverwrite):
    """`input` times its hardsigmoid."""

    name = "hardswish"


class Hardsigmoid(_MayOverwrite):
    """input/6 + 1/2, kept between 0 and 1."""

    name = "hardsigmoid"

    def extra_repr(self) -> str:
        return ""


class LeakyReLU(_MayOverwrite):
    """`input` where it is positive, else `negative_slope` times it."""

    name = "leaky_relu"

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def _settings(self) -> tuple:
        return (self.negative_slope,)

    def extra_repr(self) -> str:
        return self._described(negative_slope=self.negative_slope)


class ELU(_MayOverwrite):
    """`input` where it is positive, else alpha * (exp(input) - 1)."""

    name = "elu"

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def _settings(self) -> tuple:
        return (self.alpha,)

    def extra_repr(self) -> str:
        return self._described(alpha=self.alpha)


class CELU(ELU):
    """`input` where it is positive, else alpha * (exp(input / alpha) - 1)."""

    name = "celu"


class BoundsError(DevtensorError, AssertionError):
    """Bounds of which the lower is not the lower."""


class Hardtanh(_MayOverwrite):
    """`input` kept between two bounds."""

    name = "hardtanh"

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__(inplace)
        for old, new in ((min_value, "min_val"), (max_value, "max_val")):
            if old is not None:
                warnings.warn(
                    f"the argument {new}ue is deprecated; it is now {new}", FutureWarning, stacklevel=2
                )
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        if self.max_val <= self.min_val:
            raise BoundsError(
                f"[Hardtanh] max_val ({self.max_val}) must be greater than min_val ({self.min_val})"
            )

    def _settings(self) -> tuple:
        return (self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return self._described(min_val=self.min_val, max_val=self.max_val)


class ReLU6(Hardtanh):
    """`input` kept between 0 and 6."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return self._described()


class Threshold(_MayOverwrite):
    """`input` where it exceeds `threshold`, else `value`."""

    name = "threshold"

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value

    def _settings(self) -> tuple:
        return (self.threshold, self.value)

    def extra_repr(self) -> str:
        return self._described(threshold=self.threshold, value=self.value)


class Sigmoid(_Activation):
    """1 / (1 + exp(-input))."""

    name = "sigmoid"


class Tanh(_Activation):
    """Hyperbolic tangent."""

    name = "tanh"


class Tanhshrink(_Activation):
    """`input` less its tanh."""

    name = "tanhshrink"


class Softsign(_Activation):
    """input / (1 + |input|)."""

    name = "softsign"


class LogSigmoid(_Activation):
    """Logarithm of the sigmoid."""

    name = "logsigmoid"


class GELU(Module):
    """`input` times the probability that a standard normal lies below it (Hendrycks and Gimpel 2016)."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return functional.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """log(1 + exp(beta * input)) / beta; `input` itself where beta * input exceeds `threshold`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        return functional.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class _Shrink(Module):
    """What shrinkages share."""

    name: str

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Tensor) -> Tensor:
        return getattr(functional, self.name)(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(_Shrink):
    """`input` where it is further than `lambd` from 0, else 0."""

    name = "hardshrink"


class Softshrink(_Shrink):
    """`input` moved towards 0 by `lambd`, and 0 where it is nearer than that."""

    name = "softshrink"


class _AlongDim(Module):
    """An activation along one dim: its function of `functional`, by name."""

    name: str

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim: Any = dim

    def forward(self, input: Tensor) -> Tensor:
        return getattr(functional, self.name)(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """exp(input) / sum(exp(input)) along `dim`."""

    name = "softmax"


class LogSoftmax(_AlongDim):
    """Logarithm of softmax along `dim`."""

    name = "log_softmax"


class Softmin(_AlongDim):
    """Softmax of minus `input` along `dim`."""

    name = "softmin"


class GLU(_AlongDim):
    """The first half along `dim` times the sigmoid of the second."""

    name = "glu"

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim)


class Softmax2d(Module):
    """Softmax over the channels at each place.

    Shapes: (N, C, H, W) or (C, H, W) -> as input
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.array.ndim not in (3, 4):
            raise ShapeError(f"[Softmax2d] expected input to be 3D or 4D (got {input.array.ndim}D instead)")
        return functional.softmax(input, -3)


class PReLU(Module):
    """`input` where it is positive, else a learnt `weight` times it: one for all, or one for each channel.

    Shapes: (N, C, *S) -> as input
    Source: He et al. 2015.
    """

    weight: Parameter

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = parameter(num_parameters, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start anew from `init`."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return functional.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """`input` where it is positive, else times a slope drawn at random in training (Xu et al. 2015)."""

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        announce(self)
        return functional.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")
