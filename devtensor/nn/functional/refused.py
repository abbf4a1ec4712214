"""Functions that PyTorch offers and devtensor does not, each with its reason."""

from __future__ import annotations

from devtensor.core.refusal import refused

__all__ = ["grouped_mm", "scaled_grouped_mm", "scaled_mm"]

_GROUPS = "one kernel for groups of all sizes exists on certain GPUs alone; multiply one by one"
_NARROW = "products of 8-bit floats exist on certain GPUs alone; use matmul in bfloat16"

grouped_mm = refused("nn.functional.grouped_mm", _GROUPS)
scaled_grouped_mm = refused("nn.functional.scaled_grouped_mm", _NARROW)
scaled_mm = refused("nn.functional.scaled_mm", _NARROW)
