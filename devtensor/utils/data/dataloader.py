"""DataLoader: a dataset as batches, read in this process or by workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from devtensor.core.errors import ArgumentError
from devtensor.utils.data.collate import default_collate, default_convert
from devtensor.utils.data.dataset import Dataset, IterableDataset
from devtensor.utils.data.fetch import DatasetKind, Reading
from devtensor.utils.data.iterate import BatchIterator, LocalIterator
from devtensor.utils.data.options import (
    check_sampling_options,
    check_stream_options,
    check_worker_options,
    context_of,
    warn_of_too_many_workers,
)
from devtensor.utils.data.sampler import (
    BatchSampler,
    EndlessSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
)
from devtensor.utils.data.worker_info import get_worker_info

if TYPE_CHECKING:
    from devtensor import Generator

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

# PyTorch's private names for the parts of a loader, which scripts ask for and subclass.
_BaseDataLoaderIter = BatchIterator
_SingleProcessDataLoaderIter = LocalIterator
_InfiniteConstantSampler = EndlessSampler
_DatasetKind = DatasetKind


def __getattr__(name: str) -> Any:
    if name == "_MultiProcessingDataLoaderIter":
        from devtensor.utils.data.prefetch import WorkerIterator

        return WorkerIterator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


Sample = TypeVar("Sample", covariant=True)

# Iterators and samplers are made from these once.
FIXED = frozenset({"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"})


class DataLoader(Generic[Sample]):
    """A dataset as batches: which samples, in which order, how merged, and by how many processes.

    `batch_size=None` gives single samples, or what a `sampler` of lists asks for; `batch_sampler` replaces
    batch_size, shuffle, sampler and drop_last. With `num_workers` > 0 that many processes read
    `prefetch_factor` batches (2 if None) ahead each; large tensors come through shared memory. Worker w is
    seeded with a number drawn from `generator` plus w, and so are Python's `random` and NumPy in it;
    `persistent_workers` keeps the processes, and their random state, for the next pass. Workers hold CPU
    tensors only: move batches in the loop.

    Units: timeout in seconds, the longest wait for one batch; 0 waits for ever.
    Errors: ArgumentError for options that exclude each other. An exception in a worker is raised here with
    its traceback in the message, of its own type where that can be built from a text or unpickled, else as a
    WorkerError; so are the death of a worker, and a timeout.
    Example: `for x, y in DataLoader(dataset, batch_size=64, shuffle=True, num_workers=2): ...`
    """

    dataset: Dataset[Sample]
    batch_size: int | None
    num_workers: int
    drop_last: bool
    timeout: float
    sampler: Sampler | Iterable
    batch_sampler: Sampler | Iterable | None
    prefetch_factor: int | None
    # Subclasses written for PyTorch switch it off while they replace a sampler.
    __initialized = False

    def __init__(
        self,
        dataset: Dataset[Sample],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler | Iterable | None = None,
        batch_sampler: Sampler[list] | Iterable[list] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: str | BaseContext | None = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        check_worker_options(num_workers, timeout, prefetch_factor, persistent_workers)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._choose_samples(batch_size, shuffle, sampler, batch_sampler, drop_last)
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        self._IterableDataset_len_called: int | None = None
        self._iterator: Any = None
        self.check_worker_number_rationality()
        self.__initialized = True

    def _choose_samples(
        self,
        batch_size: int | None,
        shuffle: bool | None,
        sampler: Sampler | Iterable | None,
        batch_sampler: Sampler[list] | Iterable[list] | None,
        drop_last: bool,
    ) -> None:
        """Make the samplers that were not given."""
        dataset: Any = self.dataset
        check_sampling_options(batch_size, shuffle, sampler, batch_sampler, drop_last)
        self._dataset_kind = DatasetKind.Map
        if isinstance(dataset, IterableDataset):
            check_stream_options(shuffle, sampler, batch_sampler)
            self._dataset_kind = DatasetKind.Iterable
            sampler = EndlessSampler()
        elif sampler is None and shuffle:
            sampler = RandomSampler(dataset, generator=self.generator)
        elif sampler is None:
            sampler = SequentialSampler(dataset)
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__initialized and name in FIXED:
            raise ArgumentError(
                f"[{type(self).__name__}] {name} cannot be set after the loader is made; make another loader"
            )
        super().__setattr__(name, value)

    @property
    def multiprocessing_context(self) -> BaseContext | None:
        """How workers are started, or None for Python's default."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, value: str | BaseContext | None) -> None:
        self._context = context_of(value, self.num_workers)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Sampler | Iterable:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    @property
    def _reading(self) -> Reading:
        return Reading(self.dataset, self.collate_fn, self._auto_collation, self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        if not self.persistent_workers:
            return self._get_iterator()
        if self._iterator is None or self._iterator.is_closed:
            self._iterator = self._get_iterator()
        else:
            self._iterator._reset(self)
        return self._iterator

    def _get_iterator(self) -> BatchIterator:
        """A pass that nobody has begun."""
        if self.num_workers == 0:
            return LocalIterator(self)
        # Imported here: programs without workers need none of it.
        from devtensor.utils.data.prefetch import WorkerIterator

        return WorkerIterator(self)

    def check_worker_number_rationality(self) -> None:
        """Warn if there are more workers than processors that this process may use."""
        warn_of_too_many_workers(self.num_workers)

    def __len__(self) -> int:
        """The number of batches, as far as the dataset or the sampler tells."""
        if not isinstance(self.dataset, IterableDataset):
            return len(self._index_sampler)  # type: ignore[arg-type]
        samples = len(self.dataset)  # type: ignore[arg-type]
        self._IterableDataset_len_called = samples
        size = self.batch_size or 1
        return samples // size if self.drop_last else -(-samples // size)
