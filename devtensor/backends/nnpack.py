"""NNPACK: it is not used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from devtensor.backends.flags import held

__all__ = ["flags", "is_available"]


def is_available() -> bool:
    """Whether NNPACK is used: no."""
    return False


enabled = True


@contextmanager
def flags(enabled: bool = False) -> Iterator[None]:
    """A context within which the setting is kept."""
    with held(__name__, enabled=enabled):
        yield
