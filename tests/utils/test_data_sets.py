"""Datasets and their combinations."""

from __future__ import annotations

import warnings

import pytest

import devtensor
from devtensor.utils.data import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)


class Squares(Dataset):
    def __init__(self, size: int = 10) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        return index * index


class Tens(Squares):
    def __getitems__(self, indices: list[int]) -> list[int]:
        return [10 * index for index in indices]


class Stream(IterableDataset):
    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self):
        return iter(range(self.size))


class SizedStream(Stream):
    def __len__(self) -> int:
        return self.size


def lengths(*args, **kwargs):
    return [len(subset) for subset in random_split(*args, **kwargs)]


def test_a_dataset_without_its_method_says_so():
    with pytest.raises(NotImplementedError, match="__getitem__"):
        Dataset()[0]
    with pytest.raises(TypeError):
        len(Dataset())
    with pytest.raises(TypeError):
        IterableDataset()


def test_tensor_dataset_gives_rows():
    x, y = devtensor.tensor([[1.0], [2.0], [3.0]]), devtensor.tensor([4, 5, 6])
    data = TensorDataset(x, y)
    assert len(data) == 3
    first, second = data[-1]
    assert first.tolist() == [3.0] and second.item() == 6
    assert data[0:2][1].tolist() == [4, 5]
    assert data[[0, 2]][1].tolist() == [4, 6]
    assert data.tensors[0] is x


def test_tensor_dataset_checks_its_tensors():
    with pytest.raises(AssertionError, match=r"\(1,\), \(2,\)"):
        TensorDataset(devtensor.tensor([1]), devtensor.tensor([1, 2]))
    with pytest.raises(TypeError, match="list"):
        TensorDataset([1, 2])
    with pytest.raises(IndexError, match="without dimensions"):
        TensorDataset(devtensor.tensor(1))
    with pytest.raises(IndexError):
        TensorDataset(devtensor.tensor([1]))[1]


def test_stack_dataset_gives_tuples_or_dicts():
    assert StackDataset([1, 2], [3, 4])[1] == (2, 4)
    named = StackDataset(a=[1, 2], b=[3, 4])
    assert len(named) == 2 and named[1] == {"a": 2, "b": 4}
    assert StackDataset(a=Tens(), b=Squares()).__getitems__([1, 2]) == [{"a": 10, "b": 1}, {"a": 20, "b": 4}]
    assert StackDataset(Tens(), Squares()).__getitems__([3]) == [(30, 9)]


def test_stack_dataset_checks_its_members():
    with pytest.raises(ValueError, match="0 datasets by position and 0 by name"):
        StackDataset()
    with pytest.raises(ValueError, match="1 datasets by position and 1 by name"):
        StackDataset([1], a=[1])
    with pytest.raises(ValueError, match=r"\[1, 2\]"):
        StackDataset([1], [1, 2])


def test_stack_dataset_notices_a_wrong_batch():
    class Wrong(Squares):
        def __getitems__(self, indices):
            return [1]

    with pytest.raises(ValueError, match="1 samples for 2 indices"):
        StackDataset(Wrong()).__getitems__([1, 2])


def test_concat_dataset():
    data = ConcatDataset([[1, 2, 3], [], [4, 5]])
    assert list(data) == [1, 2, 3, 4, 5]
    assert (len(data), data[-1], data[-5], data.cumulative_sizes) == (5, 5, 1, [3, 3, 5])
    with pytest.raises(IndexError, match="index 5 for 5"):
        data[5]
    with pytest.raises(ValueError, match="index -6 for 5"):
        data[-6]
    with pytest.raises(ValueError, match="no datasets"):
        ConcatDataset([])
    with pytest.raises(AssertionError, match="ChainDataset"):
        ConcatDataset([Stream(1)])
    assert list(Squares(2) + Squares(3)) == [0, 1, 0, 1, 4]


def test_chain_dataset():
    assert list(Stream(2) + Stream(3)) == [0, 1, 0, 1, 2]
    assert len(SizedStream(2) + SizedStream(3)) == 5
    with pytest.raises(AssertionError, match="Squares"):
        list(ChainDataset([Stream(1), Squares(1)]))
    with pytest.raises(TypeError):
        len(ChainDataset([Stream(1)]))


def test_subset():
    data = Subset(Squares(), [5, 6])
    assert (len(data), data[0], data[-1], data.__getitems__([0, 1])) == (2, 25, 36, [25, 36])
    assert Subset(Tens(), [5, 6]).__getitems__([1]) == [60]
    tensors = Subset(TensorDataset(devtensor.tensor([0, 1, 2, 3])), [3, 1])
    assert tensors[[0, 1]][0].tolist() == [3, 1]
    with pytest.raises(IndexError):
        data[2]


@pytest.mark.parametrize(
    ("given", "expected"),
    [([7, 3], [7, 3]), ([0.7, 0.3], [7, 3]), ([1 / 3] * 3, [4, 3, 3]), ([1.0], [10]), ([0, 10], [0, 10])],
)
def test_random_split_lengths(given, expected):
    assert lengths(Squares(), given) == expected


def test_random_split_gives_every_sample_once():
    parts = random_split(range(10), [0.5, 0.25, 0.25])
    assert sorted(sample for part in parts for sample in part) == list(range(10))
    assert all(type(index) is int for part in parts for index in part.indices)


def test_random_split_follows_its_generator():
    def order(seed):
        generator = devtensor.Generator().manual_seed(seed)
        return random_split(range(50), [50], generator=generator)[0].indices

    assert order(1) == order(1) != order(2)


@pytest.mark.parametrize("given", [[5, 4], [0.3, 0.3], [0.7, 0.4], [-1, 11], [0.5, 5], [1.5, -0.5], []])
def test_random_split_refuses(given):
    with pytest.raises(ValueError, match="random_split"):
        random_split(Squares(), given)


def test_random_split_warns_of_an_empty_part():
    with pytest.warns(UserWarning, match="subset 1 of 1 samples is empty"):
        assert lengths(Squares(1), [0.5, 0.5]) == [1, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lengths(Squares(1), [1, 0][:1]) == [1]
