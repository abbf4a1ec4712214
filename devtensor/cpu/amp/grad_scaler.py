"""GradScaler by its older name."""

from __future__ import annotations

from devtensor import amp
from devtensor.amp.older_names import warn_older

__all__ = ["GradScaler"]


class GradScaler(amp.GradScaler):
    """`devtensor.amp.GradScaler` for losses on the CPU."""

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        warn_older("cpu.amp.GradScaler", "amp.GradScaler('cpu', ...)")
        super().__init__("cpu", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
