"""Whether mixed precision on CUDA can be used."""

from __future__ import annotations

from devtensor.cuda import is_available

__all__ = ["amp_definitely_not_available"]


def amp_definitely_not_available() -> bool:
    """Whether there is no CUDA device to use."""
    return not is_available()
