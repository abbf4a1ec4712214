"""Several devices: which is current, and tensors sent between them."""

from __future__ import annotations

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


def test_the_profiler_is_told(monkeypatch):
    import cupy

    heard = []
    for name in ("start", "stop"):
        monkeypatch.setattr(cupy.cuda.profiler, name, lambda name=name: heard.append(name))
    with torch.cuda.profiler.profile():
        assert heard == ["start"]
    assert heard == ["start", "stop"]
