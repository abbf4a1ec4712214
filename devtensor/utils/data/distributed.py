"""A sampler that deals a dataset out to the processes of one training job."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sized
from typing import Any

from devtensor import distributed
from devtensor.core.errors import ArgumentError
from devtensor.utils.data.sampler import Sampler, check_count
from devtensor.utils.data.seeds import seeded_generator


def _of_group(name: str, given: int | None, ask: Callable[[], int]) -> int:
    """A number that was given, or what the process group says."""
    if given is not None:
        return given
    if not distributed.is_available():
        raise ArgumentError(
            f"[DistributedSampler] got {name}=None, but there is no process group to ask; give both "
            "num_replicas and rank: the number of processes and this one's place among them"
        )
    return ask()


class DistributedSampler(Sampler[int]):
    """The indices of process `rank` out of `num_replicas`: every num_replicas-th of a common order.

    All processes get equally many: if the data cannot be dealt out evenly, the first indices are given again,
    or with `drop_last` the last ones to nobody. `set_epoch(epoch)` before each epoch gives a new order.

    What is not given is asked of the process group.

    Errors: ArgumentError if there is none to ask, or `rank` is not in [0, num_replicas).
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        group: Any = distributed
        num_replicas = _of_group("num_replicas", num_replicas, group.get_world_size)
        rank = _of_group("rank", rank, group.get_rank)
        check_count("DistributedSampler", "num_replicas", num_replicas)
        if not 0 <= rank < num_replicas:
            raise ArgumentError(
                f"[DistributedSampler] got rank {rank}; it must lie in [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0
        rounded_up = 0 if drop_last else num_replicas - 1
        self.num_samples = (len(dataset) + rounded_up) // num_replicas
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        order = self._order()
        dealt = itertools.islice(itertools.cycle(order), self.total_size)
        return itertools.islice(dealt, self.rank, None, self.num_replicas)

    def _order(self) -> list[int]:
        import devtensor

        if not self.shuffle:
            return list(range(len(self.dataset)))
        generator = seeded_generator(self.seed + self.epoch)
        return devtensor.randperm(len(self.dataset), generator=generator).tolist()

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass; all processes must name the same epoch."""
        self.epoch = epoch
