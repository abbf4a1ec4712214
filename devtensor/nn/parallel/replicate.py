"""Copies of a model on several devices: refused."""

from __future__ import annotations

from devtensor.core.refusal import refused

__all__ = ["replicate"]

REASON = "one program drives one device at a time; call the model itself"

replicate = refused("nn.parallel.replicate", REASON)
