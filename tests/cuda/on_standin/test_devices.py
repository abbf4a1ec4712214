"""Several devices: which is current, and tensors sent between them."""

from __future__ import annotations

import threading

import pytest

import devtensor as torch
from devtensor.core.errors import ArgumentError
from devtensor.cuda import comm


def places(tensors) -> list[str]:
    return [str(each.device) for each in tensors]


def test_the_current_device():
    assert torch.cuda.current_device() == 0
    with torch.cuda.device(1):
        assert torch.ones(1, device="cuda").device.index == 1
        with torch.cuda.device_of(torch.ones(1, device="cuda:0")):
            assert torch.cuda.current_device() == 0
        assert torch.cuda.current_device() == 1
    torch.cuda.set_device(1)
    assert torch.cuda.current_device() == 1
    torch.cuda.set_device(0)
    assert (torch.ones(2, device="cuda:1") * 2).sum().item() == 4


def test_gradients_stay_on_their_device():
    x = torch.ones(3, device="cuda:1", requires_grad=True)
    y = (x * 2).to("cuda:0")
    (y * y).sum().backward()
    assert x.grad.device == torch.device("cuda:1") and x.grad.tolist() == [8.0] * 3


def test_broadcast_and_sums():
    x = torch.arange(3.0, device="cuda:0")
    copies = comm.broadcast(x, [0, 1])
    assert places(copies) == ["cuda:0", "cuda:1"] and copies[1].tolist() == [0, 1, 2]
    out = [torch.zeros(3, device="cuda:1")]
    assert comm.broadcast(x, out=out)[0] is out[0] and out[0].tolist() == [0, 1, 2]
    total = comm.reduce_add(copies, 1)
    assert str(total.device) == "cuda:1" and total.tolist() == [0, 2, 4]
    assert [places(each) for each in comm.broadcast_coalesced([x, x], ["cuda:1", 0])] == [
        ["cuda:1"] * 2, ["cuda:0"] * 2,
    ]  # fmt: skip
    assert [each.tolist() for each in comm.reduce_add_coalesced([[x], [copies[1]]])] == [[0, 2, 4]]
    with pytest.raises(ArgumentError, match="exactly one"):
        comm.broadcast(x)
    with pytest.raises(ArgumentError, match="one shape"):
        comm.reduce_add([x, copies[1][:2]])


def test_parts_sent_and_brought_together():
    x = torch.arange(6).reshape(3, 2)
    parts = comm.scatter(x, [0, 1])
    assert places(parts) == ["cuda:0", "cuda:1"] and [len(part) for part in parts] == [2, 1]
    assert torch.equal(comm.gather(parts).cpu(), x)
    assert torch.equal(comm.gather(parts, destination="cpu"), x)
    sized = comm.scatter(x, chunk_sizes=[1, 1], dim=1)
    assert sized[1].flatten().tolist() == [1, 3, 5]
    out = [
        torch.zeros(1, 2, dtype=torch.int64, device="cuda:1"),
        torch.zeros(2, 2, dtype=torch.int64, device="cuda"),
    ]
    assert comm.scatter(x, out=out)[1].tolist() == [[2, 3], [4, 5]]
    joined = torch.zeros(3, 2, dtype=torch.int64, device="cuda:1")
    assert comm.gather(parts, out=joined) is joined and torch.equal(joined.cpu(), x)


@pytest.mark.usefixtures("compiler")
def test_a_fresh_thread_launches_our_kernels():
    """The driver launches nothing where no call of CUDA's own has given the thread a context."""
    x = torch.arange(6.0, device="cuda").reshape(2, 3)
    expected = torch.softmax(x, -1).tolist()
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.softmax(x, -1).tolist()))
    thread.start()
    thread.join()
    assert found == [expected]


def test_devices_that_are_not_used_get_no_context(monkeypatch):
    from cupy._machine import contexts

    accounts = torch.device("cuda:0").backend.accounts
    torch.ones(3, device="cuda:0")
    monkeypatch.setattr(accounts, "counts", {0: accounts.counts[0]})
    contexts.clear()
    assert torch.cuda.is_available() and torch.cuda.device_count() == 2
    assert torch.cuda.get_device_properties(1).major == 9 and torch.cuda.can_device_access_peer(0, 1)
    torch.cuda.empty_cache()
    assert 1 not in contexts
    torch.ones(3, device="cuda:1")
    assert 1 in contexts


def test_marks_reach_nvtx(monkeypatch):
    import cupy

    marked = cupy.cuda.nvtx.marked
    marked.clear()
    with torch.cuda.nvtx.range("step {}", 3):
        torch.cuda.nvtx.mark("here")
        torch.cuda.nvtx.range_end(torch.cuda.nvtx.range_start("part"))
    number = marked[2].rpartition(" ")[2]
    assert marked == ["push step 3", "mark here", f"start part as {number}", f"end {number}", "pop"]
    monkeypatch.setattr(cupy.cuda.nvtx, "available", False)
    torch.cuda.nvtx.mark("nowhere")
    assert len(marked) == 5


def test_the_profiler_is_told(monkeypatch):
    import cupy

    heard = []
    for name in ("start", "stop"):
        monkeypatch.setattr(cupy.cuda.profiler, name, lambda name=name: heard.append(name))
    with torch.cuda.profiler.profile():
        assert heard == ["start"]
    assert heard == ["start", "stop"]
