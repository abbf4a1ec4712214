"""Collectives that gradients go through, by PyTorch's names: there is no process group they could use."""

from __future__ import annotations

from devtensor.core.refusal import refused_class
from devtensor.distributed import REASON, needing_group

RemoteModule = refused_class("distributed.nn.RemoteModule", REASON)
COLLECTIVES = (
    "all_gather", "all_reduce", "all_to_all", "all_to_all_single", "broadcast", "gather", "reduce",
    "reduce_scatter", "scatter",
)  # fmt: skip
globals().update({name: needing_group(f"nn.{name}") for name in COLLECTIVES})
