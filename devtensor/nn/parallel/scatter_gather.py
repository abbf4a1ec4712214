"""Batches split over devices: refused."""

from __future__ import annotations

from devtensor.core.refusal import refused

__all__ = ["gather", "scatter"]

REASON = "one program drives one device at a time; call the model itself"

gather = refused("nn.parallel.gather", REASON)
scatter = refused("nn.parallel.scatter", REASON)
