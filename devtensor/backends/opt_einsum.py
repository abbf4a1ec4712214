"""opt_einsum: `einsum` here contracts from left to right without it."""

from __future__ import annotations

__all__ = ["get_opt_einsum", "is_available"]

enabled = False
strategy = None


def is_available() -> bool:
    """Whether opt_einsum is used: no."""
    return False


def get_opt_einsum() -> None:
    """The package: None, it is not used."""
    return None
