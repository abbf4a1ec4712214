"""How tensors are pickled on their way to another process: their memory is moved to where both see it."""

from __future__ import annotations

import os
from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.nn.parameter import Buffer, Parameter
from devtensor.sharing import reduced, share_memory_, teach_pickling

__all__ = ["init_reductions", "reduce_tensor"]


def init_reductions() -> None:
    """Teach multiprocessing to pickle tensors and parameters so."""
    for kind in (Tensor, Parameter, Buffer):
        teach_pickling(kind, reduce_tensor)


def reduce_tensor(tensor: Tensor) -> Any:
    """What multiprocessing pickles of a tensor: a place in shared memory, off the CPU and on Windows a copy.

    The sender has to live until the receiver has it.

    Errors: AutogradError for a tensor with a history.
    """
    if tensor.device.type == "cpu" and os.name == "posix" and (tensor.is_leaf or not tensor.requires_grad):
        share_memory_(tensor)
    return reduced(tensor)
