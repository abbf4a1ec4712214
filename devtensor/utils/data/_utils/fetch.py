"""PyTorch's private path to what turns the indices of a batch into the batch."""

from __future__ import annotations

from typing import Any

from devtensor.utils.data.fetch import Exhausted, Fetcher, IndexFetcher, Reading, StreamFetcher

__all__ = ["_BaseDatasetFetcher", "_IterableDatasetFetcher", "_MapDatasetFetcher"]

_BaseDatasetFetcher = Fetcher


class _MapDatasetFetcher(IndexFetcher):
    """Reads a dataset by index."""

    def __init__(self, dataset: Any, auto_collation: bool, collate_fn: Any, drop_last: bool) -> None:
        super().__init__(Reading(dataset, collate_fn, auto_collation, drop_last))


class _IterableDatasetFetcher(StreamFetcher):
    """Reads a stream, whose end is a StopIteration."""

    def __init__(self, dataset: Any, auto_collation: bool, collate_fn: Any, drop_last: bool) -> None:
        super().__init__(Reading(dataset, collate_fn, auto_collation, drop_last))

    def fetch(self, indices: Any) -> Any:
        try:
            return super().fetch(indices)
        except Exhausted:
            raise StopIteration from None
