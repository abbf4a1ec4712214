"""From the indices that a sampler gave to a collated batch: the same work in every process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from devtensor.utils.data.dataset import Dataset, IterableDataset, read_samples

END = object()


class Exhausted(Exception):
    """A stream has no more batches."""


@dataclass(frozen=True)
class Reading:
    """How a loader reads: its dataset, and how samples become batches.

    `batched` is False where the sampler gives single indices, and every sample is a batch of its own.
    """

    dataset: Dataset
    collate_fn: Callable[[Any], Any]
    batched: bool
    drop_last: bool

    def fetcher(self) -> Fetcher:
        """Start a pass over the dataset."""
        return StreamFetcher(self) if isinstance(self.dataset, IterableDataset) else IndexFetcher(self)


class Fetcher:
    """One pass over a dataset."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def fetch(self, indices: Any) -> Any:
        """Read and collate one batch.

        Errors: Exhausted at the end of a stream; RuntimeError for a StopIteration of the user's code, which
        would otherwise end the loop over the loader as if the data were over.
        """
        try:
            return self.reading.collate_fn(self._read(indices))
        except StopIteration as error:
            raise RuntimeError(
                "[DataLoader] the dataset or collate_fn raised StopIteration; only a stream's iterator may"
            ) from error

    def _read(self, indices: Any) -> Any:
        raise NotImplementedError


class IndexFetcher(Fetcher):
    """Reads a dataset by index."""

    def _read(self, indices: Any) -> Any:
        dataset = self.reading.dataset
        return read_samples(dataset, indices) if self.reading.batched else dataset[indices]


class StreamFetcher(Fetcher):
    """Reads a stream; of the indices only their number counts."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(reading)
        self._stream: Iterator[Any] = iter(reading.dataset)  # type: ignore[call-overload]
        self._ended = False

    def _read(self, indices: Any) -> Any:
        if self._ended:
            raise Exhausted
        if not self.reading.batched:
            sample = next(self._stream, END)
            self._ended = sample is END
            if self._ended:
                raise Exhausted
            return sample
        samples = list(itertools.islice(self._stream, len(indices)))
        self._ended = len(samples) < len(indices)
        if not samples or (self._ended and self.reading.drop_last):
            raise Exhausted
        return samples
