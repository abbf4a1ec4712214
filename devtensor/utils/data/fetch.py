"""From the indices that a sampler gave to a collated batch: the same work in every process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from devtensor.utils.data.collate import default_collate
from devtensor.utils.data.dataset import Dataset, IterableDataset, read_samples
from devtensor.utils.data.rows import take_rows

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


class DatasetKind:
    """Whether samples are found by index or come in a stream: PyTorch's numbers for it."""

    Map = 0
    Iterable = 1

    @staticmethod
    def create_fetcher(
        kind: int, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> Fetcher:
        """Start a pass over a dataset of the given kind."""
        reading = Reading(dataset, collate_fn, auto_collation, drop_last)
        return StreamFetcher(reading) if kind == DatasetKind.Iterable else IndexFetcher(reading)


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
            return self._batch(indices)
        except StopIteration as error:
            raise RuntimeError(
                "[DataLoader] the dataset or collate_fn raised StopIteration; only a stream's iterator may"
            ) from error

    def _batch(self, indices: Any) -> Any:
        return self.reading.collate_fn(self._read(indices))

    def _read(self, indices: Any) -> Any:
        raise NotImplementedError


class IndexFetcher(Fetcher):
    """Reads a dataset by index; a TensorDataset, if nobody looks at its single samples, by whole batches."""

    def _batch(self, indices: Any) -> Any:
        reading = self.reading
        if reading.batched and reading.collate_fn is default_collate:
            rows = take_rows(reading.dataset, indices)
            if rows is not None:
                return rows
        return super()._batch(indices)

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
