"""Switches for warnings about what changed in PyTorch long ago: kept and given back."""

from __future__ import annotations

__all__ = ["broadcast_warning", "keepdim_warning"]


class Warning:
    """One switch."""

    enabled = False


broadcast_warning = Warning()
keepdim_warning = Warning()
