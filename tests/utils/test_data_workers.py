"""DataLoader with worker processes: the same batches, seeds, order, transport, start methods."""

from __future__ import annotations

import gc
import os
import random
import time

import numpy
import pytest

import devtensor
from devtensor.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info
from devtensor.utils.data import parcel as parcels
from script_runs import python, succeeded

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*processors; more workers:UserWarning"),
    # Python 3.12 and later say this of every fork beside the threads of a BLAS library.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

METHODS = ["fork", "forkserver", "spawn"]


class Numbers(Dataset):
    def __init__(self, size: int = 10) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        return index


class Images(Dataset):
    """Samples large enough that a batch goes through shared memory."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int):
        return devtensor.tensor([float(index)] * 20_000), index


class Seeds(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int):
        info = get_worker_info()
        drawn = (random.random(), float(numpy.random.rand()), devtensor.rand(1).item())
        return info.id, info.num_workers, info.seed, devtensor.initial_seed(), drawn


class SlowFirst(Numbers):
    """Sample 0 takes its time."""

    def __getitem__(self, index: int) -> int:
        if index == 0:
            time.sleep(0.5)
        return index


class Sharded(IterableDataset):
    """Worker w gives w * 100, w * 100 + 1, ...; the first worker more than the others."""

    def __iter__(self):
        worker = get_worker_info().id
        return iter(range(100 * worker, 100 * worker + (5 if worker == 0 else 2)))


class Place(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int):
        return index, get_worker_info().id, os.getpid(), getattr(get_worker_info().dataset, "mark", None)


def mark_dataset(worker: int) -> None:
    get_worker_info().dataset.mark = f"worker {worker}"


def values(loader):
    return [batch.tolist() for batch in loader]


@pytest.mark.parametrize("method", METHODS)
def test_batches_equal_those_without_workers(method):
    def epochs(num_workers, **options):
        generator = devtensor.Generator().manual_seed(7)
        loader = DataLoader(
            Images(), 2, shuffle=True, generator=generator, num_workers=num_workers, **options
        )
        return [(images[:, ::5000].tolist(), labels.tolist()) for _ in range(2) for images, labels in loader]

    expected = epochs(0)
    assert len(expected) == 6
    assert epochs(2, multiprocessing_context=method, persistent_workers=True) == expected


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_batching_does_not_depend_on_workers(num_workers, drop_last):
    loader = DataLoader(Numbers(), 3, num_workers=num_workers, drop_last=drop_last)
    assert values(loader) == values(DataLoader(Numbers(), 3, drop_last=drop_last))
    assert len(iter(loader)) == len(loader) == (3 if drop_last else 4)


def test_single_samples():
    assert list(DataLoader(Numbers(4), batch_size=None, num_workers=2)) == [0, 1, 2, 3]


def test_streams_are_read_by_every_worker_in_turn():
    assert values(DataLoader(Sharded(), 2, num_workers=2)) == [[0, 1], [100, 101], [2, 3], [4]]
    assert values(DataLoader(Sharded(), 2, num_workers=2, drop_last=True)) == [[0, 1], [100, 101], [2, 3]]
    assert list(DataLoader(Sharded(), None, num_workers=2)) == [0, 100, 1, 101, 2, 3, 4]


def test_streams_start_anew_with_persistent_workers():
    loader = DataLoader(Sharded(), 2, num_workers=2, persistent_workers=True)
    assert values(loader) == values(loader) == [[0, 1], [100, 101], [2, 3], [4]]


def test_batches_come_in_order_or_as_they_are_ready():
    assert values(DataLoader(SlowFirst(4), num_workers=2)) == [[0], [1], [2], [3]]
    ready = values(DataLoader(SlowFirst(4), num_workers=2, in_order=False))
    assert ready[0] == [1] and sorted(ready) == [[0], [1], [2], [3]]


def test_tasks_go_to_the_workers_in_turn():
    samples = list(DataLoader(Place(), None, num_workers=2, worker_init_fn=mark_dataset))
    assert [(index, worker, mark) for index, worker, _, mark in samples] == [
        (0, 0, "worker 0"), (1, 1, "worker 1"), (2, 0, "worker 0"), (3, 1, "worker 1")
    ]  # fmt: skip
    assert len({pid for _, _, pid, _ in samples}) == 2 and os.getpid() not in {
        pid for _, _, pid, _ in samples
    }


def test_seeds_differ_between_workers_and_epochs_and_repeat():
    def epochs(persistent):
        devtensor.manual_seed(3)
        loader = DataLoader(Seeds(), None, num_workers=2, persistent_workers=persistent)
        return [list(loader), list(loader)]

    first, second = epochs(False)
    for epoch in (first, second):
        base = epoch[0][2]
        assert [(worker, count, seed - base) for worker, count, seed, _, _ in epoch] == [
            (0, 2, 0), (1, 2, 1), (0, 2, 0), (1, 2, 1)
        ]  # fmt: skip
        assert all(initial == seed for _, _, seed, initial, _ in epoch)
    drawn = [number for epoch in (first, second) for sample in epoch for number in sample[4]]
    assert len(set(drawn)) == len(drawn)
    assert epochs(False) == [first, second]
    kept = epochs(True)
    assert kept[0] == first and kept[1][0][2] == first[0][2] and kept[1] != kept[0]


def test_workers_do_not_disturb_the_random_state_of_the_user():
    def numbers(num_workers):
        devtensor.manual_seed(1)
        random.seed(1)
        loader = DataLoader(Numbers(), 3, shuffle=True, num_workers=num_workers)
        return values(loader), devtensor.rand(2).tolist(), random.random()

    assert numbers(0) == numbers(2)


def test_persistent_workers_stay():
    loader = DataLoader(Place(), None, num_workers=2, persistent_workers=True)
    first = [pid for _, _, pid, _ in loader]
    assert first == [pid for _, _, pid, _ in loader]
    assert iter(loader) is iter(loader)
    fresh = DataLoader(Place(), None, num_workers=2)
    assert {pid for _, _, pid, _ in fresh}.isdisjoint({pid for _, _, pid, _ in fresh})


@pytest.mark.parametrize("in_order", [True, False])
def test_a_pass_that_was_left_early_does_not_leak_into_the_next(in_order):
    loader = DataLoader(
        Images(), 2, num_workers=2, persistent_workers=True, prefetch_factor=3, in_order=in_order
    )
    for _ in range(5):
        images, labels = next(iter(loader))
        assert images[:, 0].tolist() == labels.tolist()
    batches = [labels.tolist() for _, labels in loader]
    assert (batches if in_order else sorted(batches)) == [[0, 1], [2, 3], [4, 5]]


def test_two_passes_at_once():
    loader = DataLoader(Numbers(3), num_workers=1)
    first, second = iter(loader), iter(loader)
    assert next(first).item() == next(second).item() == 0
    assert values(first) == values(second) == [[1], [2]]


def test_a_dataset_in_the_user_script_may_be_local_when_forked():
    data = [1, 2, 3]
    loader = DataLoader(data, num_workers=1, collate_fn=lambda batch: batch, multiprocessing_context="fork")
    assert list(loader) == [[1], [2], [3]]


def test_large_datasets_are_shared_with_spawned_workers():
    images = devtensor.tensor([[float(n)] * 10_000 for n in range(8)])
    loader = DataLoader(TensorDataset(images), 4, num_workers=2, multiprocessing_context="spawn")
    assert [batch[:, 0].tolist() for (batch,) in loader] == [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]


def roundtrip(value):
    return parcels.unpack(parcels.pack(value, f"devtensor-test-{os.getpid()}"))


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]
)
@pytest.mark.parametrize("size", [3, 70_000])
def test_tensors_cross_in_every_dtype(dtype, size):
    sent = devtensor.tensor([0, 1, 1]).to(getattr(devtensor, dtype))
    sent = devtensor.stack([sent] * (size // 3))
    received = roundtrip(sent)
    assert received.dtype == sent.dtype and received.shape == sent.shape
    assert received.tolist() == sent.tolist()


def test_shapes_strides_and_flags_cross():
    columns = devtensor.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).T
    empty = devtensor.empty((0, 3))
    scalar = devtensor.tensor(2.5)
    leaf = devtensor.tensor([1.0], requires_grad=True)
    received = roundtrip({"columns": columns, "rest": (empty, scalar, leaf), "again": columns})
    assert received["columns"].tolist() == columns.tolist()
    assert received["again"] is received["columns"]
    got_empty, got_scalar, got_leaf = received["rest"]
    assert tuple(got_empty.shape) == (0, 3) and got_scalar.item() == 2.5 and tuple(got_scalar.shape) == ()
    assert got_leaf.requires_grad and not got_scalar.requires_grad
    with pytest.raises(RuntimeError, match="detach"):
        roundtrip(leaf * 2)


def test_tensors_of_other_devices_do_not_cross():
    with pytest.raises(RuntimeError, match="on meta between processes; workers hold tensors on the CPU"):
        roundtrip(devtensor.empty(2, device="meta"))


def test_received_tensors_are_free_to_be_written_and_kept():
    received = []
    for images, labels in DataLoader(Images(), 1, num_workers=2):
        images += 1
        received.append((images, labels))
    gc.collect()
    assert [images[0, -1].item() for images, _ in received] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert [labels.item() for _, labels in received] == [0, 1, 2, 3, 4, 5]


def test_arrays_cross_too():
    sent = numpy.arange(50_000.0).reshape(50, 1000)
    received = roundtrip([sent, sent.T, "text"])
    assert (received[0] == sent).all() and (received[1] == sent.T).all() and received[2] == "text"
    received[0][0, 0] = 5.0


def test_batches_beyond_the_mapped_ones_are_copied(monkeypatch):
    monkeypatch.setattr(parcels, "MOST_MAPPED", 0)
    assert [labels.tolist() for _, labels in DataLoader(Images(), 3, num_workers=1)] == [[0, 1, 2], [3, 4, 5]]


def test_without_shared_memory_batches_go_through_pipes(monkeypatch):
    def full(name, raw):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parcels, "_write_segment", full)
    monkeypatch.setattr(parcels, "_shortage_was_told", False)
    loader = DataLoader(Images(), 2, num_workers=2, multiprocessing_context="fork")
    with pytest.warns(RuntimeWarning, match="No space left") as said:
        received = [images[:, 0].tolist() for images, _ in loader]
    assert received == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    # From Python 3.12 on, forking a process that has threads is worth a warning of its own.
    assert len([each for each in said if each.category is RuntimeWarning]) == 1


def test_many_batches_with_little_room_in_the_pipes():
    # Tasks of 40 kB and replies of as much: each side would wait for the other if the worker did not listen.
    loader = DataLoader(
        Numbers(), batch_sampler=[list(range(10)) * 2000] * 12, num_workers=2, prefetch_factor=4
    )
    assert [tuple(batch.shape) for batch in loader] == [(20_000,)] * 12


def test_too_many_workers_are_worth_a_warning():
    with pytest.warns(UserWarning, match="num_workers=100000"):
        DataLoader(Numbers(), num_workers=100_000)


LIBRARY = """
import torch

class Named:
    def __len__(self):
        return 2
    def __getitem__(self, index):
        return torch.tensor(index), torch.__name__
"""
MAIN = """
if __name__ == "__main__":
    import devtensor.as_torch
    import library
    from torch.utils.data import DataLoader
    for method in ("fork", "forkserver", "spawn"):
        loader = DataLoader(library.Named(), 2, num_workers=1, multiprocessing_context=method)
        print([(numbers.tolist(), names) for numbers, names in loader])
"""


def test_workers_find_torch_where_their_user_does(tmp_path):
    (tmp_path / "library.py").write_text(LIBRARY)
    (tmp_path / "main.py").write_text(MAIN)
    said = succeeded(python(tmp_path / "main.py", cwd=tmp_path))
    assert said.splitlines() == ["[([0, 1], ('devtensor', 'devtensor'))]"] * 3
