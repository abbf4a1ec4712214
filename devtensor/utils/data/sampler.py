"""Samplers: the order in which a loader asks for samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.utils.data.seeds import draw_seed, seeded_generator

if TYPE_CHECKING:
    from devtensor import Generator

Index = TypeVar("Index", covariant=True)

# Indices drawn at once with replacement: few enough to start at once, however many samples are asked for.
DRAWN_AT_ONCE = 1024


def check_count(op: str, name: str, value: Any) -> None:
    """Raise unless `value` is a positive integer."""
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ArgumentError(f"[{op}] got {name}={value!r}; a positive integer is needed")


class Sampler(Generic[Index]):
    """An order of indices: a subclass writes `__iter__` and, so that loaders have a length, `__len__`."""

    def __iter__(self) -> Iterator[Index]:
        raise NotImplementedError(f"[Sampler] {type(self).__name__} needs a method __iter__(self)")


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ... up to the length of `data_source`."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Indices of `data_source` in random order, or drawn with `replacement`.

    Without replacement more than one round of all indices is given if `num_samples` asks for it.
    Without a `generator` each pass takes a seed from the default one.

    Errors: ArgumentError if `num_samples` (the data's length if None) is not a positive integer.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(replacement, bool):
            raise ArgumentTypeError(
                f"[RandomSampler] got replacement={replacement!r}; True or False is needed"
            )
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        check_count("RandomSampler", "num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many indices a pass gives: the data's present length unless told otherwise."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        size = len(self.data_source)
        if size == 0:
            raise ArgumentError(f"[RandomSampler] got no data to draw {self.num_samples} samples from")
        generator = seeded_generator(draw_seed()) if self.generator is None else self.generator
        rounds = self._draws(size, generator) if self.replacement else self._permutations(size, generator)
        return itertools.islice(itertools.chain.from_iterable(rounds), self.num_samples)

    def _draws(self, size: int, generator: Generator) -> Iterator[list[int]]:
        import devtensor

        for start in range(0, self.num_samples, DRAWN_AT_ONCE):
            count = min(DRAWN_AT_ONCE, self.num_samples - start)
            yield devtensor.randint(0, size, (count,), generator=generator).tolist()

    def _permutations(self, size: int, generator: Generator) -> Iterator[list[int]]:
        import devtensor

        for _ in range(0, self.num_samples, size):
            yield devtensor.randperm(size, generator=generator).tolist()

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[Any]):
    """The given indices, in random order."""

    def __init__(self, indices: Sequence[Any], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[Any]:
        import devtensor

        for position in devtensor.randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[position]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices 0 to len(weights) - 1, drawn with probabilities in proportion to `weights`.

    Shapes: weights (N)
    Errors: ArgumentError for other shapes, or if `num_samples` is not a positive integer.
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        import devtensor

        check_count("WeightedRandomSampler", "num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ArgumentError(
                f"[WeightedRandomSampler] got replacement={replacement!r}; True or False is needed"
            )
        self.weights = devtensor.as_tensor(weights, dtype=devtensor.float64)
        if len(self.weights.shape) != 1:
            raise ArgumentError(
                f"[WeightedRandomSampler] got weights of shape {tuple(self.weights.shape)}; "
                "one dimension is needed"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        import devtensor

        drawn = devtensor.multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        )
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[Any]]):
    """Lists of `batch_size` indices of another sampler; a short last one is given unless `drop_last`."""

    def __init__(self, sampler: Sampler[Any] | Iterable[Any], batch_size: int, drop_last: bool) -> None:
        check_count("BatchSampler", "batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ArgumentError(f"[BatchSampler] got drop_last={drop_last!r}; True or False is needed")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[Any]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def __len__(self) -> int:
        full, left_over = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return full + (left_over > 0 and not self.drop_last)


class EndlessSampler(Sampler[None]):
    """None without end: streams choose their samples themselves, and say when they are over."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)
