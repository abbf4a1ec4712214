"""Reductions in PyTorch's spellings: `dim`, `keepdim`, `dtype`, and the overloads of max and min."""

from __future__ import annotations

from collections.abc import Callable

METHODS: dict[str, Callable] = {}
__all__: list[str] = []
