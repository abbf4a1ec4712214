"""The batches of a TensorDataset, each by one gather per tensor instead of one read per sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.utils.data.collate import collate_tensor_fn, default_collate_fn_map
from devtensor.utils.data.dataset import Subset, TensorDataset


def take_rows(dataset: Any, indices: Any) -> list[Tensor] | None:
    """What `default_collate` makes of the samples at `indices` of a TensorDataset, or of Subsets of one.

    None where something on the way is another's: a subclass's `__getitem__`, a rule for collating, an index
    that is no int.
    """
    import devtensor

    found = _under_subsets(dataset, indices)
    if found is None or default_collate_fn_map.get(Tensor) is not collate_tensor_fn:
        return None
    tensors, places = found
    if not places or any(type(place) is not int for place in places):
        return None
    if any(type(tensor) is not Tensor for tensor in tensors):
        return None
    chosen: Any = devtensor.tensor(places, device="cpu")
    return [tensor[chosen] for tensor in tensors]


def _under_subsets(dataset: Any, indices: Any) -> tuple[tuple[Any, ...], Sequence[Any]] | None:
    """The tensors and their rows that a Subset of a Subset ... of a TensorDataset stands for."""
    found = dataset
    while type(found) is Subset and isinstance(indices, Sequence):
        indices = [found.indices[index] for index in indices]
        found = found.dataset
    if not isinstance(found, TensorDataset) or not isinstance(indices, Sequence):
        return None
    reads_plainly = type(found).__getitem__ is TensorDataset.__getitem__
    return (found.tensors, indices) if reads_plainly and not hasattr(found, "__getitems__") else None
