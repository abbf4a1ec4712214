"""Normalisation by statistics over the batch."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.nn import functional, init
from devtensor.nn.modules.circumstances import announce
from devtensor.nn.modules.fresh import filled, parameter
from devtensor.nn.modules.module import Module
from devtensor.nn.parameter import Parameter


class _NormBase(Module):
    """What normalisations with running statistics share."""

    _version = 2
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(
                name, parameter(num_features, device=device, dtype=dtype) if wanted else None
            )
        tracked = track_running_stats
        self.register_buffer("running_mean", filled((num_features,), 0, device, dtype) if tracked else None)
        self.register_buffer("running_var", filled((num_features,), 1, device, dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", filled((), 0, device, "int64") if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the running statistics."""
        if self.running_mean is not None and self.running_var is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Start anew: weight 1, bias 0, no statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        raise NotImplementedError

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: dict, *lists: Any) -> None:
        """States from before version 2 count no batches."""
        key = f"{prefix}num_batches_tracked"
        if (local_metadata.get("version") or 0) < 2 and self.track_running_stats and key not in state_dict:
            state_dict[key] = self.num_batches_tracked
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *lists)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_NormBase):
    """What batch normalisations of all dims share."""

    def _momentum(self) -> Any:
        """How far running statistics move: with no momentum given, to the mean of all batches."""
        if self.num_batches_tracked is None:
            return self.momentum or 0.0
        with no_grad():
            self.num_batches_tracked.add_(1)
        if self.momentum is not None:
            return self.momentum
        wide = self.running_mean is not None and self.running_mean.kind.dtype.name == "float64"
        return 1.0 / (self.num_batches_tracked.double() if wide else self.num_batches_tracked.float())

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        announce(self)
        training, tracks = self.training, self.track_running_stats
        momentum = self._momentum() if training and tracks else self.momentum or 0.0
        mean, var = self.running_mean, self.running_var
        if training and not tracks:
            mean = var = None
        by_batch = training or (mean is None and var is None)
        return functional.batch_norm(input, mean, var, self.weight, self.bias, by_batch, momentum, self.eps)


def _check_dims(input: Tensor, allowed: tuple[int, ...]) -> None:
    ndim = input.array.ndim
    if ndim not in allowed:
        names = " or ".join(f"{n}D" for n in allowed)
        raise ArgumentError(
            f"[batch_norm] expected {names} input (got {ndim}D input of shape {tuple(input.array.shape)})"
        )


class BatchNorm1d(_BatchNorm):
    """Each channel normalised over batch and length.

    Shapes: input (N, C) or (N, C, L) -> as input
    Source: Ioffe and Szegedy 2015.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        _check_dims(input, (2, 3))


class BatchNorm2d(_BatchNorm):
    """Each channel normalised over batch and both spatial dims.

    Shapes: input (N, C, H, W) -> as input
    Source: Ioffe and Szegedy 2015.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        _check_dims(input, (4,))


class BatchNorm3d(_BatchNorm):
    """Each channel normalised over batch and all three spatial dims.

    Shapes: input (N, C, D, H, W) -> as input
    Source: Ioffe and Szegedy 2015.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        _check_dims(input, (5,))


class SyncBatchNorm(_BatchNorm):
    """Each channel normalised over the batch and all spatial dims, which the one process sees all of.

    Shapes: input (N, C, *S) -> as input
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.array.ndim < 2:
            raise ArgumentError(f"[batch_norm] expected at least 2D input (got {input.array.ndim}D input)")

    @classmethod
    def convert_sync_batchnorm(cls, module: Any, process_group: Any = None) -> Any:
        """The module with each batch normalisation in it replaced by one of this class, on its state."""
        made = module
        if isinstance(module, _BatchNorm) and not isinstance(module, SyncBatchNorm):
            made = cls(
                module.num_features, module.eps, module.momentum, module.affine,
                module.track_running_stats, process_group,
            )  # fmt: skip
            for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                setattr(made, name, getattr(module, name))
            made.training = module.training
        for name, child in module.named_children():
            made.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return made
