"""Tensors on their way to other processes: both sides see one memory, by every way of starting them."""

from __future__ import annotations

import pickle
import sys

import pytest

import devtensor as torch
from devtensor import multiprocessing as mp
from devtensor.multiprocessing.reductions import reduce_tensor

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="descriptors are sent between POSIX processes"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def double(queue, replies) -> None:
    """Doubles what comes, in place, until None comes."""
    while (item := queue.get()) is not None:
        with torch.no_grad():
            for tensor in item.values():
                tensor.mul_(2)
        replies.put([type(tensor).__name__ for tensor in item.values()])


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_what_a_receiver_writes_the_sender_sees(method):
    context = mp.get_context(method)
    queue, replies = context.Queue(), context.Queue()
    process = context.Process(target=double, args=(queue, replies), daemon=True)
    process.start()
    whole = torch.arange(6.0).reshape(2, 3).t()
    column, weight = whole[:, 1], torch.nn.Parameter(torch.ones(2))
    half = torch.ones(3, dtype=torch.bfloat16)
    queue.put({"column": column, "weight": weight, "half": half})
    assert replies.get(timeout=60) == ["Tensor", "Parameter", "Tensor"]
    queue.put(None)
    process.join(60)
    assert whole.tolist() == [[0, 6], [1, 8], [2, 10]] and whole.stride() == (1, 3)
    assert column.tolist() == [6, 8, 10] and half.tolist() == [2, 2, 2]
    assert weight.tolist() == [2, 2] and weight.requires_grad and weight.is_shared()


def add_rank(rank, results, model) -> None:
    results[rank] = rank + 1.0
    with torch.no_grad():
        model.bias[rank] = 10.0 * rank


def test_arguments_of_spawned_processes_are_shared():
    results, model = torch.zeros(2), torch.nn.Linear(2, 2)
    mp.spawn(add_rank, args=(results, model), nprocs=2)
    assert results.tolist() == [1, 2] and model.bias.tolist() == [0, 10]


def test_views_move_with_their_memory():
    base = torch.arange(12.0).reshape(3, 4)
    row, corner = base[1], base[1:, 2:]
    parts = torch.view_as_complex(base.view(3, 2, 2))
    before = [each.tolist() for each in (base, row, corner, parts)]
    corner.share_memory_()
    assert all(each.is_shared() for each in (base, row, corner, parts))
    assert [each.tolist() for each in (base, row, corner, parts)] == before
    corner.fill_(-1)
    assert row.tolist() == [4, 5, -1, -1] and base[2].tolist() == [8, 9, -1, -1]
    assert parts[1, 1].item() == -1 - 1j


def test_histories_stay_at_home():
    with pytest.raises(RuntimeError, match=r"with a history.*detach\(\) it"):
        reduce_tensor(torch.ones(2, requires_grad=True) * 2)


def test_a_subclass_of_its_own_still_crosses():
    queue = mp.get_context("fork").SimpleQueue()
    queue.put(torch.nn.Buffer(torch.ones(2)))
    assert isinstance(queue.get(), torch.nn.Buffer)


def test_other_pickles_hold_copies():
    shared = torch.ones(2).share_memory_()
    copy = pickle.loads(pickle.dumps(shared))
    copy.fill_(5)
    assert shared.tolist() == [1, 1] and not copy.is_shared()
