"""Copies between several CUDA devices by PyTorch's names."""

from __future__ import annotations

from devtensor.core.refusal import refused

__all__ = ["broadcast", "broadcast_coalesced", "gather", "reduce_add", "scatter"]

REASON = "one program drives one device at a time; move tensors with .to('cuda:1')"

broadcast = refused("cuda.comm.broadcast", REASON)
broadcast_coalesced = refused("cuda.comm.broadcast_coalesced", REASON)
gather = refused("cuda.comm.gather", REASON)
reduce_add = refused("cuda.comm.reduce_add", REASON)
scatter = refused("cuda.comm.scatter", REASON)
