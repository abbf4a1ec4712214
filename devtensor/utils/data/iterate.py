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
    """Batches of one pass; a subclass says where they come from."""

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader
        self._pins = loader.pin_memory and can_pin()

    def begin(self) -> None:
        """Start a pass."""
        # Drawn for every pass, used or not, so that workers do not change what the generator gives next.
        self._base_seed = draw_seed(self._loader.generator)
        self._indices = iter(self._loader._index_sampler)
        self._given = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __len__(self) -> int:
        return len(self._loader._index_sampler)  # type: ignore[arg-type]

    def __next__(self) -> Any:
        batch = self._next_batch()
        self._given += 1
        promised = self._loader._promised_samples
        if promised is not None and self._given > promised:
            self._warn_of_length(promised)
        return pin_memory(batch) if self._pins else batch

    def _next_batch(self) -> Any:
        raise NotImplementedError

    def _warn_of_length(self, promised: int) -> None:
        hint = "; each worker must take its own part of the stream: see get_worker_info()"
        warnings.warn(
            f"[DataLoader] {type(self._loader.dataset).__name__} reported a length of {promised} samples, "
            f"but {self._given} batches have come{hint if self._loader.num_workers else ''}",
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
        self.begin()

    def _next_batch(self) -> Any:
        indices = next(self._indices)
        try:
            return self._fetcher.fetch(indices)
        except Exhausted:
            raise StopIteration from None
