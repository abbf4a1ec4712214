"""Datasets: samples by index (`Dataset`) or in a stream (`IterableDataset`), and their combinations."""

from __future__ import annotations

import itertools
import math
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from devtensor.core.errors import ArgumentError, ArgumentTypeError, DimensionError, Unsupported
from devtensor.core.tensor import Tensor
from devtensor.utils.data.failure import RefusedData

if TYPE_CHECKING:
    from devtensor import Generator

Sample = TypeVar("Sample", covariant=True)


class Dataset(Generic[Sample]):
    """Samples found by index: a subclass writes `__getitem__` and, for most samplers, `__len__`.

    A subclass may also write `__getitems__(indices)`, which gives the list of samples of a whole batch.
    """

    def __getitem__(self, index: Any) -> Sample:
        raise NotImplementedError(f"[Dataset] {type(self).__name__} needs a method __getitem__(self, index)")

    def __add__(self, other: Dataset[Sample]) -> ConcatDataset[Sample]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[Sample], Iterable[Sample]):
    """Samples that come in a stream: a subclass writes `__iter__`.

    With worker processes each worker iterates its own copy; `get_worker_info()` tells it which part is its.
    """

    def __add__(self, other: Dataset[Sample]) -> ChainDataset:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors of one length; sample i is the tuple of their i-th rows.

    Errors: RefusedData (an AssertionError) if the first sizes differ.
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        for tensor in tensors:
            if not (isinstance(tensor, Tensor) or callable(getattr(tensor, "size", None))):
                raise ArgumentTypeError(
                    f"[TensorDataset] got {type(tensor).__name__}; every argument must be a Tensor: "
                    "use devtensor.as_tensor(...)"
                )
            if not tensor.shape:
                raise DimensionError("[TensorDataset] got a tensor without dimensions; samples are its rows")
        if len({tensor.shape[0] for tensor in tensors}) > 1:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
            raise RefusedData(f"[TensorDataset] Size mismatch between tensors: got {shapes}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0]


class StackDataset(Dataset[Any]):
    """Datasets of one length side by side: samples are tuples, or dicts if the datasets come by name.

    Errors: ArgumentError if lengths differ, or if both spellings are mixed.
    """

    datasets: tuple[Dataset, ...] | dict[str, Dataset]

    def __init__(self, *args: Dataset, **kwargs: Dataset) -> None:
        if bool(args) == bool(kwargs):
            raise ArgumentError(
                f"[StackDataset] got {len(args)} datasets by position and {len(kwargs)} by name; "
                "give at least one, all in the same way"
            )
        self.datasets = args or kwargs
        lengths = [len(dataset) for dataset in self._members()]  # type: ignore[arg-type]
        if len(set(lengths)) > 1:
            raise ArgumentError(f"[StackDataset] got datasets of lengths {lengths}; they must be equal")
        self._length = lengths[0]

    def _members(self) -> Iterable[Dataset]:
        return self.datasets.values() if isinstance(self.datasets, dict) else self.datasets

    def _sample(self, parts: Iterable[Any]) -> Any:
        if isinstance(self.datasets, dict):
            return dict(zip(self.datasets, parts, strict=True))
        return tuple(parts)

    def __getitem__(self, index: Any) -> Any:
        return self._sample(dataset[index] for dataset in self._members())

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        columns = [read_samples(dataset, indices) for dataset in self._members()]
        for column in columns:
            if len(column) != len(indices):
                raise ArgumentError(
                    f"[StackDataset] a dataset's __getitems__ gave {len(column)} samples "
                    f"for {len(indices)} indices"
                )
        return [self._sample(parts) for parts in zip(*columns, strict=True)]

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[Sample]):
    """Datasets one after another, as one.

    Errors: RefusedData (an AssertionError) if there is none, or for a stream; ArgumentError for an index
    below -len.
    """

    datasets: list[Dataset[Sample]]
    cumulative_sizes: list[int]

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise RefusedData("[ConcatDataset] got no datasets; datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise RefusedData(
                "[ConcatDataset] got an IterableDataset, which has no indices; use ChainDataset for streams"
            )
        self.cumulative_sizes = self.cumsum(self.datasets)

    @staticmethod
    def cumsum(sequence: Iterable[Any]) -> list[int]:
        """The number of samples up to the end of each dataset."""
        return list(itertools.accumulate(map(len, sequence)))

    @property
    def cummulative_sizes(self) -> list[int]:
        """An older spelling of `cumulative_sizes`."""
        warnings.warn(
            "[ConcatDataset] `cummulative_sizes` is now spelt `cumulative_sizes`", FutureWarning, stacklevel=2
        )
        return self.cumulative_sizes

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Sample:
        if index < -len(self):
            raise ArgumentError(f"[ConcatDataset] got index {index} for {len(self)} samples")
        if index >= len(self):
            raise IndexError(f"[ConcatDataset] got index {index} for {len(self)} samples")
        if index < 0:
            index += len(self)
        which = bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - start]


class ChainDataset(IterableDataset):
    """Streams one after another, as one.

    Errors: RefusedData (an AssertionError) while iterating, at a member that is no IterableDataset.
    """

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        super().__init__()
        self.datasets = datasets

    def _streams(self) -> Iterator[IterableDataset]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise RefusedData(
                    f"[ChainDataset] got {type(dataset).__name__}; every member must be an IterableDataset"
                )
            yield dataset

    def __iter__(self) -> Iterator[Any]:
        for dataset in self._streams():
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self._streams())  # type: ignore[arg-type]


class Subset(Dataset[Sample]):
    """The samples of a dataset at the given indices.

    Errors: NotImplementedError for a subclass with a `__getitem__` of its own and no `__getitems__`.
    """

    dataset: Dataset[Sample]
    indices: Sequence[int]

    def __init__(self, dataset: Dataset[Sample], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices
        kind = type(self)
        if kind.__getitem__ is not Subset.__getitem__ and kind.__getitems__ is Subset.__getitems__:
            raise Unsupported(
                f"[Subset] {kind.__name__} overrides __getitem__ but not __getitems__, which loaders call: "
                "write `def __getitems__(self, indices): return [self[i] for i in indices]`"
            )

    def __getitem__(self, index: Any) -> Sample:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        return read_samples(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def read_samples(dataset: Dataset[Sample], indices: Sequence[int]) -> list[Sample]:
    """Read the samples at `indices`, by the dataset's own `__getitems__` where it has one."""
    read_many = getattr(dataset, "__getitems__", None)
    if read_many is not None:
        return read_many(indices)
    return [dataset[index] for index in indices]


def random_split(
    dataset: Dataset[Sample], lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset[Sample]]:
    """Split a dataset at random into disjoint subsets of the given lengths, or fractions that sum to 1.

    Fractions are rounded down; what is left over goes to the first subsets, one sample each.

    Errors: ArgumentError if lengths are negative or do not sum to the dataset's, or fractions leave [0, 1].
    Example: `train, test = random_split(dataset, [0.8, 0.2], devtensor.Generator().manual_seed(0))`
    """
    import devtensor

    size = len(dataset)  # type: ignore[arg-type]
    total = sum(lengths)
    if math.isclose(total, 1) and total <= 1:
        lengths = _lengths_of_fractions(lengths, size)
    if sum(lengths) != size or any(length < 0 for length in lengths):
        raise ArgumentError(
            f"[random_split] got lengths {list(lengths)} for {size} samples; "
            f"they must not be negative and must sum to {size}, or be fractions that sum to 1"
        )
    order = devtensor.randperm(size, generator=generator).tolist()
    ends = itertools.accumulate(map(int, lengths))
    return [
        Subset(dataset, order[end - int(length) : end]) for length, end in zip(lengths, ends, strict=True)
    ]


def _lengths_of_fractions(fractions: Sequence[float], size: int) -> list[int]:
    for fraction in fractions:
        if not 0 <= fraction <= 1:
            raise ArgumentError(f"[random_split] got fraction {fraction}; every fraction must lie in [0, 1]")
    lengths = [math.floor(size * fraction) for fraction in fractions]
    left_over = size - sum(lengths)
    for position in range(left_over):
        lengths[position % len(lengths)] += 1
    for position, length in enumerate(lengths):
        if length == 0:
            warnings.warn(
                f"[random_split] subset {position} of {size} samples is empty: its fraction is "
                f"{fractions[position]}",
                stacklevel=3,
            )
    return lengths
