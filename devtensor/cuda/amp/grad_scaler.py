"""GradScaler by its older name."""

from __future__ import annotations

from devtensor import amp
from devtensor.amp.grad_scaler import OptState
from devtensor.amp.older_names import warn_older

__all__ = ["GradScaler", "OptState"]


class GradScaler(amp.GradScaler):
    """`devtensor.amp.GradScaler` for losses on CUDA."""

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        warn_older("cuda.amp.GradScaler", "amp.GradScaler('cuda', ...)")
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
