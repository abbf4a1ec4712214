"""Samplers: which indices come, in which order, and what follows the generator."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

import devtensor
from devtensor.utils.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)


def seeded(seed: int):
    return devtensor.Generator().manual_seed(seed)


def test_the_base_class_asks_for_iter():
    with pytest.raises(NotImplementedError, match="__iter__"):
        iter(Sampler())
    with pytest.raises(TypeError):
        len(Sampler())


def test_sequential():
    sampler = SequentialSampler("abc")
    assert (len(sampler), list(sampler)) == (3, [0, 1, 2])


def test_random_without_replacement_is_a_permutation():
    sampler = RandomSampler(range(100))
    order = list(sampler)
    assert sorted(order) == list(range(100)) and order != sorted(order)
    assert all(type(index) is int for index in order)
    assert list(sampler) != order


def test_random_beyond_the_data_starts_new_rounds():
    order = list(RandomSampler(range(10), num_samples=25))
    assert len(order) == 25
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert len(set(order[20:])) == 5


def test_random_with_replacement():
    sampler = RandomSampler(range(10), replacement=True, num_samples=3000)
    counts = Counter(sampler)
    assert len(sampler) == sum(counts.values()) == 3000
    # Six standard deviations of a binomial(3000, 0.1).
    assert all(abs(counts[index] - 300) < 99 for index in range(10))


def test_random_is_lazy():
    assert list(itertools.islice(RandomSampler(range(1), replacement=True, num_samples=10**12), 2)) == [0, 0]


def test_random_follows_its_generator_or_the_default_one():
    sampler = RandomSampler(range(50), generator=seeded(1))
    first, second = list(sampler), list(sampler)
    assert first == list(RandomSampler(range(50), generator=seeded(1))) != second
    orders = []
    for _ in range(2):
        devtensor.manual_seed(5)
        orders.append(list(RandomSampler(range(50))))
    assert orders[0] == orders[1]


def test_random_follows_the_length_of_the_data():
    data = [0]
    sampler = RandomSampler(data)
    data.append(1)
    assert len(sampler) == 2 and sorted(sampler) == [0, 1]


@pytest.mark.parametrize("count", [0, -1, 2.5])
def test_random_refuses_a_count(count):
    with pytest.raises(ValueError, match="num_samples"):
        RandomSampler(range(3), num_samples=count)


def test_random_refuses():
    with pytest.raises(TypeError, match="replacement=1"):
        RandomSampler(range(3), replacement=1)
    with pytest.raises(ValueError, match="num_samples=0"):
        RandomSampler([])
    for replacement in (False, True):
        with pytest.raises(ValueError, match="no data"):
            list(RandomSampler([], replacement=replacement, num_samples=3))


def test_subset_random():
    sampler = SubsetRandomSampler([3, 5, 7], generator=seeded(0))
    assert len(sampler) == 3 and sorted(sampler) == [3, 5, 7]
    assert sorted(SubsetRandomSampler(["a", "b"])) == ["a", "b"]
    assert list(SubsetRandomSampler([])) == []
    many = list(range(50))
    assert list(SubsetRandomSampler(many, seeded(1))) == list(SubsetRandomSampler(many, seeded(1)))


def test_weighted_random():
    sampler = WeightedRandomSampler([0.0, 1.0, 3.0], 4000, generator=seeded(0))
    counts = Counter(sampler)
    assert len(sampler) == 4000 and counts[0] == 0
    # Six standard deviations of a binomial(4000, 1/4).
    assert abs(counts[1] - 1000) < 165
    assert sorted(WeightedRandomSampler([1.0, 2.0, 3.0], 3, replacement=False)) == [0, 1, 2]
    assert sampler.weights.dtype == devtensor.float64


def test_weighted_random_refuses():
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        WeightedRandomSampler([[1.0, 2.0]], 1)
    for count in (0, -1, True, 2.0):
        with pytest.raises(ValueError, match="num_samples"):
            WeightedRandomSampler([1.0], count)
    with pytest.raises(ValueError, match="replacement"):
        WeightedRandomSampler([1.0], 1, 1)
    for weights in ([-1.0, 2.0], [0.0, 0.0], [float("nan"), 1.0]):
        with pytest.raises((ValueError, RuntimeError)):
            list(WeightedRandomSampler(weights, 1))


@pytest.mark.parametrize(
    ("drop_last", "expected"), [(False, [[1, 2], [3, 4], [5]]), (True, [[1, 2], [3, 4]])]
)
def test_batches(drop_last, expected):
    sampler = BatchSampler([1, 2, 3, 4, 5], 2, drop_last)
    assert list(sampler) == expected and len(sampler) == len(expected)
    assert list(BatchSampler(iter([1, 2, 3, 4, 5]), 2, drop_last)) == expected
    assert list(BatchSampler([], 2, drop_last)) == []


def test_batches_refuse():
    for size in (0, -1, True, 2.0):
        with pytest.raises(ValueError, match="batch_size"):
            BatchSampler([1], size, False)
    with pytest.raises(ValueError, match="drop_last"):
        BatchSampler([1], 1, None)
    with pytest.raises(TypeError):
        len(BatchSampler(iter([1]), 1, False))


def dealt(size: int, replicas: int, **options):
    return [list(DistributedSampler(range(size), replicas, rank, **options)) for rank in range(replicas)]


def test_distributed_deals_evenly():
    assert dealt(10, 3, shuffle=False) == [[0, 3, 6, 9], [1, 4, 7, 0], [2, 5, 8, 1]]
    assert dealt(10, 3, shuffle=False, drop_last=True) == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert dealt(1, 3, shuffle=False) == [[0], [0], [0]]
    assert dealt(1, 3, shuffle=False, drop_last=True) == [[], [], []]
    assert dealt(0, 2, shuffle=False) == [[], []]


def test_distributed_shuffles_alike_in_all_processes():
    parts = dealt(20, 4, seed=3)
    assert sorted(index for part in parts for index in part) == list(range(20))
    assert parts != dealt(20, 4, seed=4) and parts == dealt(20, 4, seed=3)
    sampler = DistributedSampler(range(20), 1, 0)
    first = list(sampler)
    assert first == list(sampler)
    sampler.set_epoch(1)
    assert first != list(sampler) and sorted(sampler) == list(range(20))
    assert len(DistributedSampler(range(10), 3, 0)) == 4


def test_distributed_refuses():
    for rank in (2, -1):
        with pytest.raises(ValueError, match="rank"):
            DistributedSampler(range(3), 2, rank)
    with pytest.raises(ValueError, match="rank=None"):
        DistributedSampler(range(3), num_replicas=2)
    with pytest.raises(ValueError, match="num_replicas"):
        DistributedSampler(range(3), 0, 0)
