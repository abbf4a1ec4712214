"""UntypedStorage and TypedStorage: a tensor's whole memory as an object, of which tensors may see parts."""

from __future__ import annotations

from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.storage.memory import Memory
from devtensor.storage.typed import LEGACY, STORAGE_DTYPES, TypedStorage
from devtensor.storage.untyped import UntypedStorage

globals().update(LEGACY)

__all__ = [*STORAGE_DTYPES, "TypedStorage", "UntypedStorage", "is_storage"]


def is_storage(obj: Any) -> bool:
    """Whether an object is a tensor's memory."""
    return isinstance(obj, Memory)


def storage(self: Tensor) -> TypedStorage:
    """The tensor's memory as elements of its dtype."""
    return TypedStorage(wrap_storage=UntypedStorage.of(self), dtype=self.dtype)


def untyped_storage(self: Tensor) -> UntypedStorage:
    """The tensor's memory as bytes."""
    return UntypedStorage.of(self)
