"""NCCL by PyTorch's name: nothing here is made with it."""

from __future__ import annotations

from collections.abc import Sequence

from devtensor.core.errors import DeviceMissing
from devtensor.core.refusal import refused

__all__ = [
    "all_gather",
    "all_reduce",
    "broadcast",
    "init_rank",
    "is_available",
    "reduce",
    "reduce_scatter",
    "unique_id",
    "version",
]

REASON = "devtensor runs as one process; it does not use NCCL"


def version() -> tuple[int, ...]:
    """NCCL's version.

    Errors: DeviceMissing: it is not used.
    """
    raise DeviceMissing(f"[cuda.nccl.version] {REASON}")


def is_available(tensors: Sequence[object]) -> bool:
    """Whether NCCL could serve these tensors: no."""
    return False


all_gather = refused("cuda.nccl.all_gather", REASON)
all_reduce = refused("cuda.nccl.all_reduce", REASON)
broadcast = refused("cuda.nccl.broadcast", REASON)
reduce = refused("cuda.nccl.reduce", REASON)
init_rank = refused("cuda.nccl.init_rank", REASON)
unique_id = refused("cuda.nccl.unique_id", REASON)
reduce_scatter = refused("cuda.nccl.reduce_scatter", REASON)
