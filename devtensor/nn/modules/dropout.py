"""Dropout layers: at work in training only."""

from __future__ import annotations

from collections.abc import Callable

from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor
from devtensor.nn import functional
from devtensor.nn.modules.circumstances import announce
from devtensor.nn.modules.module import Module


class _DropoutNd(Module):
    """What dropouts share."""

    function: Callable[..., Tensor]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ArgumentError(
                f"[{self._get_name()}] dropout probability has to be between 0 and 1, but got {p}"
            )
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        announce(self)
        return type(self).function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """Each element made zero with probability `p`, the others divided by 1 - p.

    Shapes: (*S) -> (*S)
    Source: Srivastava et al. 2014.
    """

    function = staticmethod(functional.dropout)


class Dropout1d(_DropoutNd):
    """Whole channels made zero with probability `p`.

    Shapes: (N, C, L) or (C, L) -> as input
    """

    function = staticmethod(functional.dropout1d)


class Dropout2d(_DropoutNd):
    """Whole channels made zero with probability `p`.

    Shapes: (N, C, H, W) -> as input
    """

    function = staticmethod(functional.dropout2d)


class Dropout3d(_DropoutNd):
    """Whole channels made zero with probability `p`.

    Shapes: (N, C, D, H, W) or (C, D, H, W) -> as input
    """

    function = staticmethod(functional.dropout3d)


class AlphaDropout(_DropoutNd):
    """Dropout for SELU networks: mean and variance stay.

    Shapes: (*S) -> (*S)
    Source: Klambauer et al. 2017.
    """

    function = staticmethod(functional.alpha_dropout)


class FeatureAlphaDropout(_DropoutNd):
    """`AlphaDropout` of whole channels.

    Shapes: (N, C, *S) -> as input
    """

    function = staticmethod(functional.feature_alpha_dropout)
