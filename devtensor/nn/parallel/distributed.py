"""DistributedDataParallel: refused, for there is no process group."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.nn.modules.module import Module

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """A model in several processes.

    Errors: ArgumentError always, as in PyTorch where no process group was made: there can be none.
    """

    def __init__(self, module: Module, *args: Any, **kwargs: Any) -> None:
        raise ArgumentError(
            "[DistributedDataParallel] Default process group has not been initialized; devtensor runs as one "
            "process: use the model as it is"
        )
