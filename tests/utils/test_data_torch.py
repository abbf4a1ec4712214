"""Datasets, samplers and loaders against PyTorch itself (--oracle torch): batches, lengths, refusals."""

from __future__ import annotations

import collections

import numpy
import pytest

import devtensor

Point = collections.namedtuple("Point", ["x", "y"])


def plain(value):
    """A batch without its library: tensors as dtype and list, containers with their types."""
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return str(value.dtype).rpartition(".")[2], value.tolist()
    if isinstance(value, dict):
        return type(value).__name__, {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plain(item) for item in value]
    return value


class Squares:
    def __len__(self) -> int:
        return 7

    def __getitem__(self, index):
        if index >= 7:
            raise IndexError
        return index, index**2.0


SAMPLES = {
    "numbers": lambda library: [1, 2, 3],
    "floats": lambda library: [0.5, 2],
    "bools": lambda library: [True, False],
    "texts": lambda library: ["a", "b"],
    "bytes": lambda library: [b"a", b"b"],
    "arrays": lambda library: [numpy.arange(3, dtype="int16")] * 2,
    "array scalars": lambda library: [numpy.float32(1), numpy.float32(2)],
    "array bools": lambda library: [numpy.bool_(True)] * 2,
    "0-d arrays": lambda library: [numpy.array(2.5)] * 2,
    "tensors": lambda library: [library.arange(2), library.ones(2, dtype=library.int64)],
    "0-d tensors": lambda library: [library.tensor(1.5)] * 3,
    "tuples": lambda library: [(1, "a", library.ones(1))] * 2,
    "points": lambda library: [Point(1, 2.0)] * 2,
    "dicts": lambda library: [{"a": 1, "b": {"c": [1.0, "x"]}}] * 2,
    "ordered": lambda library: [collections.OrderedDict(z=1, a=(2,))] * 2,
    "more keys later": lambda library: [{"a": 1}, {"a": 2, "b": 3}],
    "lists": lambda library: [[1, 2], [3, 4]],
    "deep": lambda library: [[([1], {"k": (2.0,)})]] * 2,
    "none": lambda library: [None, None],
    "sets": lambda library: [{1}, {2}],
    "objects": lambda library: [object(), object()],
    "object arrays": lambda library: [numpy.array(["a"], dtype=object)] * 2,
    "text arrays": lambda library: [numpy.array(["a", "b"])] * 2,
    "lengths differ": lambda library: [[1], [1, 2]],
    "shapes differ": lambda library: [library.ones(1), library.ones(2)],
    "empty": lambda library: [],
    "a key is missing": lambda library: [{"a": 1}, {"b": 1}],
}

# What is done with `torch.utils.data` (and the library), for its result or its refusal.
PROGRAMS = {
    "batches": lambda data, library: list(data.DataLoader(Squares(), 3)),
    "whole batches": lambda data, library: list(data.DataLoader(Squares(), 3, drop_last=True)),
    "single samples": lambda data, library: list(data.DataLoader(Squares(), None)),
    "a sampler": lambda data, library: list(data.DataLoader(Squares(), 2, sampler=[3, 1, 4])),
    "a batch sampler": lambda data, library: list(data.DataLoader(Squares(), batch_sampler=[[3], [1, 4]])),
    "lists of indices": lambda data, library: list(
        data.DataLoader(data.TensorDataset(library.arange(5)), sampler=[[1, 2], [4]], batch_size=None)
    ),
    "a subset": lambda data, library: list(
        data.DataLoader(data.Subset(data.TensorDataset(library.arange(5.0)), [4, 0, -1]), 2)
    ),
    "stacked": lambda data, library: list(data.DataLoader(data.StackDataset(a=Squares(), b=range(7)), 4)),
    "chained": lambda data, library: list(data.ConcatDataset([range(3), [7, 8]])),
    "beyond": lambda data, library: data.ConcatDataset([range(3)])[3],
    "far before": lambda data, library: data.ConcatDataset([range(3)])[-4],
    "fractions": lambda data, library: [len(part) for part in data.random_split(range(11), [0.5, 0.3, 0.2])],
    "lengths": lambda data, library: [len(part) for part in data.random_split(range(11), [5, 6])],
    "wrong lengths": lambda data, library: data.random_split(range(11), [5, 5]),
    "wrong fractions": lambda data, library: data.random_split(range(11), [1.5, -0.5]),
    "unequal tensors": lambda data, library: data.TensorDataset(library.ones(2), library.ones(3)),
    "no tensors": lambda data, library: data.TensorDataset().tensors,
    "a scalar": lambda data, library: data.TensorDataset(library.tensor(1.0), library.tensor(1.0)),
    "unequal datasets": lambda data, library: data.StackDataset(range(2), range(3)),
    "no datasets": lambda data, library: data.ConcatDataset([]),
    "nothing stacked": lambda data, library: data.StackDataset(),
    "shuffled sampler": lambda data, library: data.DataLoader(Squares(), sampler=[1], shuffle=True),
    "no workers": lambda data, library: data.DataLoader(Squares(), num_workers=-1),
    "a negative timeout": lambda data, library: data.DataLoader(Squares(), timeout=-1),
    "a timeout alone": lambda data, library: iter(data.DataLoader(Squares(), timeout=1)),
    "prefetching alone": lambda data, library: data.DataLoader(Squares(), prefetch_factor=2),
    "persistence alone": lambda data, library: data.DataLoader(Squares(), persistent_workers=True),
    "a context alone": lambda data, library: data.DataLoader(Squares(), multiprocessing_context="spawn"),
    "an unknown context": lambda data, library: data.DataLoader(
        Squares(), num_workers=1, multiprocessing_context="thread"
    ),
    "batches of none": lambda data, library: data.DataLoader(Squares(), batch_size=0),
    "half a batch": lambda data, library: data.DataLoader(Squares(), batch_size=2.5),
    "a set attribute": lambda data, library: setattr(data.DataLoader(Squares()), "batch_size", 2),
    "no draws": lambda data, library: data.RandomSampler(Squares(), num_samples=0),
    "many draws": lambda data, library: sorted(data.RandomSampler(Squares(), num_samples=14)),
    "flat weights": lambda data, library: data.WeightedRandomSampler([[1.0]], 1),
    "no weights drawn": lambda data, library: data.WeightedRandomSampler([1.0], 0),
    "batches of a sampler": lambda data, library: list(data.BatchSampler(range(7), 3, False)),
    "ranks": lambda data, library: [
        list(data.DistributedSampler(Squares(), 3, rank, shuffle=False, drop_last=drop))
        for rank in range(3)
        for drop in (False, True)
    ],
    "a rank too many": lambda data, library: data.DistributedSampler(Squares(), 2, 2),
    "a bare dataset": lambda data, library: data.Dataset()[0],
    "a bare sampler": lambda data, library: iter(data.Sampler()),
    "information": lambda data, library: str(data._utils.worker.WorkerInfo(0, 1, 2, None)),
    "converted": lambda data, library: data.default_convert(
        (numpy.ones(2), Point(numpy.int8(1), "a"), [1.5, numpy.array("a")])
    ),
}

KINDS = (AssertionError, IndexError, KeyError, NotImplementedError, TypeError, ValueError, RuntimeError)


def outcome(run, library):
    """What a program gives, or the class of what it raises."""
    try:
        return "gave", plain(run(library.utils.data, library))
    except Exception as error:
        return "raised", error


def compare(ours, theirs) -> None:
    assert ours[0] == theirs[0], (ours, theirs)
    if ours[0] == "gave":
        assert ours[1] == theirs[1]
    else:
        expected = next(kind for kind in type(theirs[1]).__mro__ if kind in KINDS)
        assert isinstance(ours[1], expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_merged_alike(torch, name):
    def run(data, library):
        return data.default_collate(SAMPLES[name](library))

    compare(outcome(run, devtensor), outcome(run, torch))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_end_alike(torch, name):
    compare(outcome(PROGRAMS[name], devtensor), outcome(PROGRAMS[name], torch))
