"""DataLoader without workers: batches, lengths, arguments."""

from __future__ import annotations

import pytest

import devtensor
from devtensor import backend
from devtensor.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset, get_worker_info


class Numbers(Dataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> int:
        return index


class Stream(IterableDataset):
    def __init__(self, size: int = 10, promise: int | None = None) -> None:
        self.size, self.promise = size, promise

    def __iter__(self):
        return iter(range(self.size))


class SizedStream(Stream):
    def __len__(self) -> int:
        return self.promise


def batches(loader):
    return [batch.tolist() if isinstance(batch, devtensor.Tensor) else batch for batch in loader]


@pytest.mark.parametrize("data", [Numbers(), Stream(), list(range(10))])
def test_batches(data):
    assert batches(DataLoader(data)) == [[n] for n in range(10)]
    assert batches(DataLoader(data, batch_size=4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches(DataLoader(data, batch_size=4, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert batches(DataLoader(data, batch_size=None)) == list(range(10))
    assert batches(DataLoader(data, batch_size=5, collate_fn=tuple)) == [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)]


def test_tensor_dataset_batches():
    x, y = devtensor.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]), devtensor.tensor([7, 8, 9])
    first, second = next(iter(DataLoader(TensorDataset(x, y), batch_size=2)))
    assert first.tolist() == [[0.0, 1.0], [2.0, 3.0]] and second.tolist() == [7, 8]


def test_lengths():
    assert len(DataLoader(Numbers(), batch_size=4)) == 3
    assert len(DataLoader(Numbers(), batch_size=4, drop_last=True)) == 2
    assert len(DataLoader(Numbers(), batch_size=None)) == 10
    assert len(DataLoader(Numbers(), batch_sampler=[[1, 2], [3]])) == 2
    assert len(DataLoader(SizedStream(10, 10), batch_size=4)) == 3
    assert len(DataLoader(SizedStream(10, 10), batch_size=4, drop_last=True)) == 2
    assert len(iter(DataLoader(Numbers(), batch_size=4))) == 3
    with pytest.raises(TypeError):
        len(DataLoader(Stream()))
    assert len(DataLoader([])) == 0 and list(DataLoader([])) == []


def test_samplers():
    assert batches(DataLoader(Numbers(), batch_size=2, sampler=[3, 1, 2])) == [[3, 1], [2]]
    assert batches(DataLoader(Numbers(), batch_sampler=[[1, 2], [3]])) == [[1, 2], [3]]
    assert batches(DataLoader(Numbers(), batch_size=None, sampler=[3, 1])) == [3, 1]
    nested = DataLoader(Subset(range(10), range(5, 10)), batch_size=None, sampler=[0, 4])
    assert batches(nested) == [5, 9]


def test_whole_batches_by_getitems():
    class Tens(Numbers):
        def __getitems__(self, indices):
            return [10 * index for index in indices]

    assert batches(DataLoader(Tens(), batch_size=5))[1] == [50, 60, 70, 80, 90]
    assert batches(DataLoader(Tens(), batch_size=None)) == list(range(10))
    assert batches(DataLoader(Subset(Tens(), [1, 2]), batch_size=2)) == [[10, 20]]


def test_shuffle_gives_a_new_order_each_pass_that_the_generator_repeats():
    def orders(seed):
        generator = devtensor.Generator().manual_seed(seed)
        loader = DataLoader(range(50), batch_size=50, shuffle=True, generator=generator)
        return [batches(loader)[0] for _ in range(2)]

    first, second = orders(1)
    assert sorted(first) == sorted(second) == list(range(50)) and first != second
    assert orders(1) == [first, second] != orders(2)


def test_the_default_generator_repeats_too():
    loader = DataLoader(range(50), batch_size=50, shuffle=True)
    orders = []
    for _ in range(2):
        devtensor.manual_seed(3)
        orders.append(batches(loader))
    assert orders[0] == orders[1]


def test_iterators_are_independent():
    loader = DataLoader(Numbers(), batch_size=5)
    first, second = iter(loader), iter(loader)
    assert next(first).tolist() == next(second).tolist() == [0, 1, 2, 3, 4]
    assert iter(first) is first and len(list(first)) == 1
    with pytest.raises(StopIteration):
        next(first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.0}, "batch_size=2.0"),
        ({"batch_size": True}, "batch_size=True"),
        ({"batch_size": None, "drop_last": True}, "drop_last"),
        ({"shuffle": True, "sampler": [1]}, "sampler"),
        ({"batch_sampler": [[1]], "batch_size": 2}, "batch_sampler"),
        ({"batch_sampler": [[1]], "shuffle": True}, "batch_sampler"),
        ({"batch_sampler": [[1]], "sampler": [1]}, "batch_sampler"),
        ({"batch_sampler": [[1]], "drop_last": True}, "batch_sampler"),
        ({"num_workers": -1}, "num_workers=-1"),
        ({"timeout": -1}, "timeout=-1"),
        ({"prefetch_factor": 2}, "prefetch_factor=2"),
        ({"prefetch_factor": 0, "num_workers": 1}, "prefetch_factor=0"),
        ({"persistent_workers": True}, "persistent_workers"),
        ({"multiprocessing_context": "spawn"}, "num_workers"),
        ({"multiprocessing_context": "thread", "num_workers": 1}, "thread"),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(Numbers(), **options)


def test_options_of_a_wrong_kind():
    with pytest.raises(TypeError, match=r"num_workers=1\.0"):
        DataLoader(Numbers(), num_workers=1.0)
    with pytest.raises(TypeError, match="multiprocessing_context=3"):
        DataLoader(Numbers(), num_workers=1, multiprocessing_context=3)
    with pytest.raises(ValueError, match="timeout=3"):
        iter(DataLoader(Numbers(), timeout=3))


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}])
def test_a_stream_sets_its_own_order(options):
    with pytest.raises(ValueError, match="IterableDataset"):
        DataLoader(Stream(), **options)
    assert batches(DataLoader(Stream(2), shuffle=False)) == [[0], [1]]


def test_a_stream_that_is_longer_than_it_said():
    loader = DataLoader(SizedStream(3, 2))
    assert len(loader) == 2
    with pytest.warns(UserWarning, match="length of 2 samples, but 3 batches"):
        assert len(list(loader)) == 3


def test_fixed_and_free_attributes():
    loader = DataLoader(Numbers(), batch_size=2)
    for name in ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"):
        with pytest.raises(ValueError, match=name):
            setattr(loader, name, None)
    loader.collate_fn = tuple
    assert next(iter(loader)) == (0, 1)
    assert loader.prefetch_factor is None and DataLoader(Numbers(), num_workers=1).prefetch_factor == 2


def test_errors_come_through():
    class Broken(Numbers):
        def __getitem__(self, index):
            raise KeyError(index)

    with pytest.raises(KeyError, match="0"):
        list(DataLoader(Broken()))


def test_a_stray_stop_iteration_does_not_end_the_loop():
    class Stops(Numbers):
        def __getitem__(self, index):
            raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        list(DataLoader(Stops()))


def test_pinning_without_an_accelerator_warns():
    if backend.available("cuda"):
        assert next(iter(DataLoader(Numbers(), pin_memory=True))).tolist() == [0]
        return
    with pytest.warns(UserWarning, match="pin_memory"):
        assert batches(DataLoader(Numbers(), batch_size=10, pin_memory=True)) == [list(range(10))]


def test_there_is_no_worker_here():
    assert get_worker_info() is None
