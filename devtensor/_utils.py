"""PyTorch's private path to helpers that scripts import: several tensors as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.functions.joining import cat

__all__: list[str] = []


def _flatten_dense_tensors(tensors: Iterable[Tensor]) -> Tensor:
    """All elements of tensors of one dtype as one vector."""
    flat: list[Any] = list(tensors)
    return cat([tensor.reshape(-1) for tensor in flat])


def _unflatten_dense_tensors(flat: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Views of a vector in the shapes of tensors, one after the other."""
    vector: Any = flat
    sizes = [tensor.shape.numel() for tensor in tensors]
    parts = vector.split(sizes)
    return tuple(part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True))
