"""One pass over a loader, and the pass that reads each batch when it is asked for."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from devtensor.core.errors import Unsupported
from devtensor.utils.data.failure import RefusedData
from devtensor.utils.data.fetch import Exhausted
from devtensor.utils.data.pinning import can_pin, pin_memory
from devtensor.utils.data.seeds import draw_seed

if TYPE_CHECKING:
    from devtensor.utils.data.dataloader import DataLoader


class BatchIterator:
    """Batches of one pass; a subclass says where they come from.

    It keeps the loader's settings but not the loader, which may keep it: both are then freed without the
    garbage collector.
    """

    def __init__(self, loader: DataLoader) -> None:
        self._pin_memory = loader.pin_memory and can_pin(loader.pin_memory_device)
        self._index_sampler = loader._index_sampler
        self._dataset = loader.dataset
        self._dataset_kind = loader._dataset_kind
        self._auto_collation = loader._auto_collation
        self._collate_fn = loader.collate_fn
        self._drop_last = loader.drop_last
        self._num_workers = loader.num_workers
        self._persistent_workers = loader.persistent_workers
        self._timeout = loader.timeout

    def _reset(self, loader: DataLoader, first_iter: bool = False) -> None:
        """Start a pass."""
        # Drawn for every pass, used or not, so that workers do not change what the generator gives next.
        self._base_seed = draw_seed(loader.generator)
        self._sampler_iter = iter(self._index_sampler)
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._num_yielded = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __len__(self) -> int:
        return len(self._index_sampler)  # type: ignore[arg-type]

    def __next__(self) -> Any:
        batch = self._next_data()
        self._num_yielded += 1
        promised = self._IterableDataset_len_called
        if promised is not None and self._num_yielded > promised:
            self._warn_of_length()
        return pin_memory(batch) if self._pin_memory else batch

    def __getstate__(self) -> Any:
        raise Unsupported(
            f"[DataLoader] {type(self).__name__} cannot be pickled; pickle the loader, or what was read"
        )

    def _next_index(self) -> Any:
        """What the sampler asks for next."""
        return next(self._sampler_iter)

    def _next_data(self) -> Any:
        raise NotImplementedError

    def _warn_of_length(self) -> None:
        promised = self._IterableDataset_len_called
        hint = "; each worker must take its own part of the stream: see get_worker_info()"
        warnings.warn(
            f"[DataLoader] {type(self._dataset).__name__} reported a length of {promised} samples, "
            f"but {self._num_yielded} batches have come{hint if self._num_workers else ''}",
            stacklevel=3,
        )


class LocalIterator(BatchIterator):
    """Reads in this process."""

    def __init__(self, loader: DataLoader) -> None:
        if loader.timeout:
            raise RefusedData(
                f"[DataLoader] got timeout={loader.timeout} without workers; it needs num_workers > 0"
            )
        super().__init__(loader)
        self._dataset_fetcher = loader._reading.fetcher()
        self._reset(loader, first_iter=True)

    def _next_data(self) -> Any:
        indices = self._next_index()
        try:
            return self._dataset_fetcher.fetch(indices)
        except Exhausted:
            raise StopIteration from None
