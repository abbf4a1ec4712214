"""Autocast on the CPU by its older name."""

from __future__ import annotations

from typing import Any

from devtensor import amp
from devtensor.amp.older_names import warn_older
from devtensor.core.dtype import bfloat16

__all__ = ["autocast"]


class autocast(amp.autocast):
    """`devtensor.amp.autocast` on the CPU, by default in bfloat16."""

    def __init__(self, enabled: bool = True, dtype: Any = bfloat16, cache_enabled: bool = True) -> None:
        warn_older("cpu.amp.autocast", "amp.autocast('cpu', ...)")
        super().__init__("cpu", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)
