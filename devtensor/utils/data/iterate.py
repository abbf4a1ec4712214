"""One pass over a loader, and the pass that reads each batch when it is asked for."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from devtensor.core.errors import ArgumentError
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
        self._pins = loader.pin_memory and can_pin()
        self._sampler = loader._index_sampler
        self._dataset_name = type(loader.dataset).__name__
        self._num_workers = loader.num_workers

    def begin(self, loader: DataLoader) -> None:
        """Start a pass."""
        # Drawn for every pass, used or not, so that workers do not change what the generator gives next.
        self._base_seed = draw_seed(loader.generator)
        self._indices = iter(self._sampler)
        self._promised = loader._promised_samples
        self._given = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __len__(self) -> int:
        return len(self._sampler)  # type: ignore[arg-type]

    def __next__(self) -> Any:
        batch = self._next_batch()
        self._given += 1
        if self._promised is not None and self._given > self._promised:
            self._warn_of_length()
        return pin_memory(batch) if self._pins else batch

    def _next_batch(self) -> Any:
        raise NotImplementedError

    def _warn_of_length(self) -> None:
        hint = "; each worker must take its own part of the stream: see get_worker_info()"
        warnings.warn(
            f"[DataLoader] {self._dataset_name} reported a length of {self._promised} samples, "
            f"but {self._given} batches have come{hint if self._num_workers else ''}",
            stacklevel=3,
        )


class LocalIterator(BatchIterator):
    """Reads in this process."""

    def __init__(self, loader: DataLoader) -> None:
        if loader.timeout:
            raise ArgumentError(
                f"[DataLoader] got timeout={loader.timeout} without workers; it needs num_workers > 0"
            )
        super().__init__(loader)
        self._fetcher = loader._reading.fetcher()
        self.begin(loader)

    def _next_batch(self) -> Any:
        indices = next(self._indices)
        try:
            return self._fetcher.fetch(indices)
        except Exhausted:
            raise StopIteration from None
