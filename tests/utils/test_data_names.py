"""What loaders written for PyTorch reach for: private names, and the ways of subclassing a loader."""

from __future__ import annotations

import collections
import pickle
import random

import pytest

import devtensor
from devtensor._utils import ExceptionWrapper
from devtensor.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    _utils,
    dataloader,
    get_worker_info,
)
from devtensor.utils.data._utils.collate import (
    collate,
    default_collate_err_msg_format,
    default_collate_fn_map,
    np_str_obj_array_pattern,
)
from devtensor.utils.data._utils.pin_memory import pin_memory

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning",
    "ignore:.*processors; more workers:UserWarning",
)

Point = collections.namedtuple("Point", ["x", "y"])


class Repeating:
    """A sampler that never ends."""

    def __init__(self, sampler) -> None:
        self.sampler = sampler

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self):
        while True:
            yield from iter(self.sampler)


class Endless(DataLoader):
    """One iterator for all passes, its batch sampler replaced behind the loader's back."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        object.__setattr__(self, "batch_sampler", Repeating(self.batch_sampler))
        self.iterator = super().__iter__()

    def __len__(self) -> int:
        return len(self.batch_sampler.sampler)

    def __iter__(self):
        for _ in range(len(self)):
            yield next(self.iterator)

    def reset(self) -> None:
        self.iterator = self._get_iterator()


class ManyEpochs(DataLoader):
    """The same, by the flag that guards the loader's attributes."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._DataLoader__initialized = False
        self.batch_sampler = Repeating(self.batch_sampler)
        self._DataLoader__initialized = True
        self.iterator = super().__iter__()

    def __len__(self) -> int:
        return len(self.batch_sampler.sampler)

    def __iter__(self):
        for _ in range(len(self)):
            yield next(self.iterator)


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("kind", [Endless, ManyEpochs])
def test_loaders_that_keep_one_iterator(kind, num_workers):
    loader = kind(TensorDataset(devtensor.arange(5)), batch_size=2, num_workers=num_workers)
    for _ in range(3):
        assert [batch.tolist() for (batch,) in loader] == [[0, 1], [2, 3], [4]]
    if num_workers:
        workers = loader.iterator._workers
        assert all(worker.is_alive() for worker in workers)
        loader.iterator._shutdown_workers()
        assert not any(worker.is_alive() for worker in workers)


def test_iterators_have_their_names():
    data = TensorDataset(devtensor.arange(4))
    alone = iter(DataLoader(data, batch_size=2))
    assert isinstance(alone, dataloader._SingleProcessDataLoaderIter)
    assert (alone._num_yielded, alone._num_workers, alone._dataset) == (0, 0, data)
    next(alone)
    assert alone._num_yielded == 1 and alone._next_index() == [2, 3]
    helped = iter(DataLoader(data, num_workers=1))
    assert isinstance(helped, dataloader._MultiProcessingDataLoaderIter)
    assert isinstance(helped, dataloader._BaseDataLoaderIter) and isinstance(
        alone, dataloader._BaseDataLoaderIter
    )
    with pytest.raises(NotImplementedError, match="cannot be pickled"):
        pickle.dumps(alone)


def test_kinds_of_datasets():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(3))

    loader = DataLoader(Stream(), batch_size=2)
    assert loader._dataset_kind == dataloader._DatasetKind.Iterable
    assert isinstance(loader.sampler, dataloader._InfiniteConstantSampler)
    fetcher = dataloader._DatasetKind.create_fetcher(0, [5, 6, 7], True, list, False)
    assert fetcher.fetch([0, 2]) == [5, 7]
    stream = _utils.fetch._IterableDatasetFetcher(Stream(), True, list, False)
    assert [stream.fetch([None, None]), stream.fetch([None, None])] == [[0, 1], [2]]
    with pytest.raises(StopIteration):
        stream.fetch([None])


def test_a_collating_function_as_people_copy_it():
    def rule(batch, *, collate_fn_map=None):
        return sum(batch)

    table = {**default_collate_fn_map, int: rule}
    assert collate([{"a": 1, "b": 2.0}, {"a": 3, "b": 4.0}], collate_fn_map=table)["a"] == 4
    assert np_str_obj_array_pattern.search("<U3") and not np_str_obj_array_pattern.search("<f4")
    with pytest.raises(TypeError) as caught:
        collate([None, None], collate_fn_map=default_collate_fn_map)
    assert default_collate_err_msg_format.format(type(None)) in str(caught.value)


class Held:
    def __init__(self) -> None:
        self.pinned = False

    def pin_memory(self):
        self.pinned = True
        return self


class HeldDict(dict):
    def pin_memory(self):
        return "pinned"


def test_pinning_keeps_the_containers():
    held = Held()
    data = {"plain": (1, "text"), "point": Point([held], b"x"), "own": HeldDict(a=1)}
    pinned = pin_memory(data)
    assert pinned == {"plain": (1, "text"), "point": Point([held], b"x"), "own": "pinned"}
    assert held.pinned and type(pinned["plain"]) is tuple


def test_a_device_to_pin_for_is_an_older_way():
    loader = DataLoader([1], pin_memory=True, pin_memory_device="cuda")
    with pytest.warns(UserWarning) as said:
        list(loader)
    assert "pin_memory_device='cuda', which is ignored" in str(said[0].message)


def test_a_subset_with_samples_of_its_own_needs_both_methods():
    class One(Subset):
        def __getitem__(self, index):
            return -super().__getitem__(index)

    class Both(One):
        def __getitems__(self, indices):
            return [self[index] for index in indices]

    with pytest.raises(NotImplementedError, match="One overrides __getitem__ but not __getitems__"):
        One([1, 2, 3], [0, 2])
    assert [batch.tolist() for batch in DataLoader(Both([1, 2, 3], [0, 2]), 2)] == [[-1, -3]]


def test_an_exception_as_a_value():
    try:
        raise KeyError("gone")
    except KeyError:
        wrapped = pickle.loads(pickle.dumps(ExceptionWrapper(where="in thread 3")))
    assert wrapped.exc_type is KeyError and "gone" in wrapped.exc_msg
    with pytest.raises(KeyError, match=r"Caught KeyError in thread 3\.\nOriginal Traceback"):
        wrapped.reraise()


class WithMessage(Exception):
    message = "said by the class"

    def __init__(self, *, message: str) -> None:
        super().__init__()
        self.message = message


def test_an_exception_that_is_made_from_a_message():
    wrapped = ExceptionWrapper((WithMessage, WithMessage(message="first"), None), where="here")
    with pytest.raises(WithMessage) as caught:
        wrapped.reraise()
    assert caught.value.message.startswith("Caught WithMessage here.")


class Threads(Dataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index):
        info = get_worker_info()
        return devtensor.get_num_threads(), info.worker_method, info.rng, info.dataset is self


def test_a_worker_has_one_thread_and_knows_how_it_runs():
    assert list(DataLoader(Threads(), None, num_workers=1)) == [[1, "multiprocessing", None, True]]


class Loading(Dataset):
    """Every sample comes from a loader of its own."""

    def __init__(self, num_workers: int) -> None:
        self.num_workers = num_workers

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index):
        inner = DataLoader(list(range(index, index + 4)), batch_size=2, num_workers=self.num_workers)
        return devtensor.cat(list(inner))


def test_loaders_in_loaders():
    expected = [[0, 1, 2, 3], [1, 2, 3, 4]]
    assert [batch.tolist() for batch in DataLoader(Loading(0), None, num_workers=2)] == expected
    with pytest.raises(AssertionError, match="daemonic processes are not allowed to have children"):
        list(DataLoader(Loading(1), None, num_workers=1))
    assert [batch.tolist() for batch in DataLoader(Loading(1), None)] == expected


class Mixed(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index):
        weight = devtensor.ones(2, requires_grad=True)
        return {
            "name": f"s{index}",
            "point": Point(index, weight),
            "pair": (index / 2, b"raw"),
            "deep": [{"i": index}],
        }


@pytest.mark.parametrize("num_workers", [0, 1])
def test_samples_of_all_kinds(num_workers):
    first, _ = DataLoader(Mixed(), batch_size=2, num_workers=num_workers, collate_fn=without_history)
    assert first["name"] == ["s0", "s1"] and first["pair"][1] == (b"raw", b"raw")
    assert first["point"].x.tolist() == [0, 1] and tuple(first["point"].y.shape) == (2, 2)
    assert first["pair"][0].dtype == devtensor.float64 and first["deep"][0]["i"].tolist() == [0, 1]


def without_history(samples):
    with devtensor.no_grad():
        batch = devtensor.utils.data.default_collate(samples)
    return batch | {"name": list(batch["name"])}


def test_a_history_cannot_leave_a_worker():
    with pytest.raises(RuntimeError, match="with a history between processes"):
        list(DataLoader(Mixed(), batch_size=2, num_workers=1))
    batch = next(iter(DataLoader(Mixed(), batch_size=2)))
    assert batch["point"].y.requires_grad


def test_the_state_of_python_s_random_is_left_alone():
    random.seed(3)
    expected = random.random()
    random.seed(3)
    list(DataLoader([1, 2], shuffle=True, num_workers=1))
    assert random.random() == expected
