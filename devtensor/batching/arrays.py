"""The array of a level: many examples, seen as one."""

from __future__ import annotations

from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

from devtensor.core.spec import is_contiguous
from devtensor.core.tensor import Tensor, strides_of

counts: ContextVar[tuple[int, ...]] = ContextVar("devtensor_examples", default=())
"""How many examples every vmap at work has, the outermost first."""


class BatchedArray:
    """A tensor of the level below, whose dim 0 counts the examples if it is `batched`.

    What is not batched is the same for all of them.
    """

    __slots__ = ("batched", "value")

    def __init__(self, value: Tensor, batched: bool) -> None:
        self.value = value
        self.batched = batched

    @property
    def shape(self) -> tuple[int, ...]:
        shape = self.value.array.shape
        return shape[1:] if self.batched else shape

    @property
    def ndim(self) -> int:
        return self.value.array.ndim - self.batched

    @property
    def strides(self) -> tuple[int, ...]:
        return strides_of(self.value)[self.batched :]

    @property
    def flags(self) -> Any:
        return SimpleNamespace(c_contiguous=is_contiguous(self.shape, self.strides))

    def __repr__(self) -> str:
        return f"BatchedArray{tuple(self.shape)}"
