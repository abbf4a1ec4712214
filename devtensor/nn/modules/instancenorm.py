"""Normalisation of each channel of each sample by itself."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.tensor import Tensor
from devtensor.nn import functional
from devtensor.nn.functional.geometry import with_batch, without_batch
from devtensor.nn.modules.batchnorm import _NormBase
from devtensor.nn.modules.circumstances import announce


class _InstanceNorm(_NormBase):
    """What instance normalisations of all dims share."""

    ndim: int

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        input, added = with_batch("instance_norm", input, self.ndim)
        if self.affine and input.array.shape[1] != self.num_features:
            raise ShapeError(
                "[instance_norm] expected input's size at dim=1 to match num_features "
                f"({self.num_features}), but got: {input.array.shape[1]}."
            )
        announce(self)
        by_input = self.training or not self.track_running_stats
        result = functional.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            by_input,
            self.momentum or 0.0,
            self.eps,
        )
        return without_batch(result, added)


class InstanceNorm1d(_InstanceNorm):
    """Each channel of each sample normalised over its length.

    Shapes: input (N, C, L) or (C, L) -> as input
    Source: Ulyanov, Vedaldi and Lempitsky 2017.
    """

    ndim = 1


class InstanceNorm2d(_InstanceNorm):
    """Each channel of each sample normalised over both spatial dims.

    Shapes: input (N, C, H, W) or (C, H, W) -> as input
    Source: Ulyanov, Vedaldi and Lempitsky 2017.
    """

    ndim = 2


class InstanceNorm3d(_InstanceNorm):
    """Each channel of each sample normalised over all three spatial dims.

    Shapes: input (N, C, D, H, W) or (C, D, H, W) -> as input
    Source: Ulyanov, Vedaldi and Lempitsky 2017.
    """

    ndim = 3
