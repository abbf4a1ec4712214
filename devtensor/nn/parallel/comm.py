"""PyTorch's other path to copies between CUDA devices."""

from __future__ import annotations

from devtensor.cuda.comm import broadcast, broadcast_coalesced, gather, reduce_add, scatter

__all__ = ["broadcast", "broadcast_coalesced", "gather", "reduce_add", "scatter"]
