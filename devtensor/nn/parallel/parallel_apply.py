"""Copies of a model run side by side: refused."""

from __future__ import annotations

from devtensor.core.refusal import refused

__all__ = ["parallel_apply"]

REASON = "one program drives one device at a time; call the model itself"

parallel_apply = refused("nn.parallel.parallel_apply", REASON)
