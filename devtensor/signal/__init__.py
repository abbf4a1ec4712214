"""Signals: their windows."""

from devtensor.signal import windows

__all__ = ["windows"]
