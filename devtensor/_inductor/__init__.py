"""PyTorch's code generator by name: scripts set its switches; there is none here."""

from __future__ import annotations

from devtensor._inductor import config

__all__ = ["config", "cudagraph_mark_step_begin"]


def cudagraph_mark_step_begin() -> None:
    """Mark the beginning of a step: taken, without effect."""
