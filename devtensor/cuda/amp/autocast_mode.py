"""Autocast on CUDA by its older names."""

from __future__ import annotations

import functools
from typing import Any

from devtensor import amp
from devtensor.core.dtype import float16

__all__ = ["autocast", "custom_bwd", "custom_fwd"]


class autocast(amp.autocast):
    """`devtensor.amp.autocast` on CUDA, by default in float16."""

    def __init__(self, enabled: bool = True, dtype: Any = float16, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)

    def again(self) -> autocast:
        return autocast(self.enabled, self.dtype, self.cache_enabled)


custom_fwd = functools.partial(amp.custom_fwd, device_type="cuda")
custom_bwd = functools.partial(amp.custom_bwd, device_type="cuda")
