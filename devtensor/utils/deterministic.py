"""Whether fresh memory is filled: it is, whatever is set, for `empty` gives zeros."""

from __future__ import annotations

__all__ = ["fill_uninitialized_memory"]

fill_uninitialized_memory = True
