"""The setting for attention's fast path, kept and given back: there is one path."""

from __future__ import annotations

__all__ = ["get_fastpath_enabled", "set_fastpath_enabled"]

_enabled = [True]


def get_fastpath_enabled() -> bool:
    """What `set_fastpath_enabled` was told."""
    return _enabled[0]


def set_fastpath_enabled(value: bool) -> None:
    """Kept and given back."""
    _enabled[0] = bool(value)
