"""How tensors are pickled on their way to another process: as everywhere."""

from __future__ import annotations

from typing import Any

from devtensor.core.tensor import Tensor

__all__ = ["init_reductions", "reduce_tensor"]


def init_reductions() -> None:
    """Teach multiprocessing to pickle tensors: they can be pickled as they are."""


def reduce_tensor(tensor: Tensor) -> Any:
    """What pickle keeps of a tensor."""
    return tensor.__reduce_ex__(2)
