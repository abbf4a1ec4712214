"""Memory that streams still read when nobody holds it: how long it is kept, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import devtensor as torch
from devtensor_cupy.memory import readable

MIB = 1 << 20


@pytest.fixture(autouse=True)
def from_nothing() -> Iterator[None]:
    for index in range(2):
        torch.cuda.synchronize(index)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.reset_accumulated_memory_stats()
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def busy(index: int = 0) -> torch.cuda.Stream:
    """A stream that has not yet done what it was asked."""
    stream = torch.cuda.Stream(index)
    with torch.cuda.stream(stream):
        torch.ones(4).pin_memory().to(f"cuda:{index}", non_blocking=True)
    return stream


def dropped(*streams: torch.cuda.Stream, count: int = MIB, index: int = 0) -> None:
    """A tensor that streams read and nobody holds."""
    x = torch.empty(count, device=f"cuda:{index}")
    for stream in streams:
        x.record_stream(stream)


def active(index: int = 0) -> int:
    """Bytes of large blocks that tensors hold or streams read, once the accounts have asked the streams."""
    torch.cuda.empty_cache()
    return torch.cuda.memory_stats(index)["active_bytes.large_pool.current"]


def counted(*names: str) -> list[int]:
    stats = torch.cuda.memory_stats()
    return [stats[name] for name in names]


@pytest.mark.parametrize("first", [0, 1])
def test_it_is_kept_for_every_stream(first):
    before, streams = active(), [busy(), busy()]
    dropped(*streams)
    assert active() == before + 4 * MIB
    streams[first].synchronize()
    assert active() == before + 4 * MIB
    streams[1 - first].synchronize()
    assert active() == before


def test_before_giving_up_every_stream_is_waited_for():
    torch.cuda.set_per_process_memory_fraction(0.001)
    streams = [busy(), busy()]
    dropped(*streams)
    assert torch.empty(MIB + MIB // 2, device="cuda").numel() and all(s.query() for s in streams)
    assert counted("num_alloc_retries", "num_sync_all_streams", "num_ooms") == [1, 1, 0]
    with pytest.raises(torch.cuda.OutOfMemoryError):
        torch.empty(16 * MIB, device="cuda")
    assert counted("num_alloc_retries", "num_sync_all_streams", "num_ooms") == [2, 1, 1]


def test_a_block_at_the_same_address_is_kept_for_nobody(monkeypatch):
    """A pool hands freed memory out again: who read the tensor before does not read the next one."""
    from cupy import _memory

    accounts = torch.device("cuda:0").backend.accounts
    block = _memory.pool.malloc(4 * MIB)
    again = _memory.MemoryPointer(_memory.UnownedMemory(block.ptr, 4 * MIB, block, 0), 0)
    monkeypatch.setattr(
        accounts, "inner", lambda size: again if size == 4 * MIB else _memory.pool.malloc(size)
    )
    before, side = active(), busy()
    dropped(side)
    side.synchronize()
    assert active() == before
    with torch.cuda.stream(side):
        torch.ones(4).pin_memory().to("cuda", non_blocking=True)
    dropped()
    assert active() == before and not side.query()


def test_a_stream_of_another_device_is_asked_there():
    before = active(1)
    side = busy(1)
    dropped(side, index=1)
    assert active(1) == before + 4 * MIB
    side.synchronize()
    assert active(1) == before


def test_what_nobody_reads_is_reusable_at_once():
    before = active()
    dropped()
    torch.empty(0, device="cuda")
    names = [f"active.all.{what}" for what in ("allocated", "freed")]
    assert counted(*names) == [1, 1] and active() == before


def segment_of(address: int) -> dict[str, Any]:
    (found,) = [part for part in torch.cuda.memory_snapshot() if part["address"] == address]
    return found


@pytest.mark.parametrize(
    ("count", "kind"),
    [(10, "small"), (MIB // 4, "small"), (MIB // 4 + 1, "large")],
    ids=["few", "1MiB", "more"],
)
@pytest.mark.parametrize("is_read", [False, True], ids=["held", "read"])
def test_a_segment_tells_its_block(count, kind, is_read):
    x, side = torch.empty(count, device="cuda"), busy()
    address, size = x.array.block.ptr, -(-4 * count // 512) * 512
    if is_read:
        x.record_stream(side)
        del x
    state = "active_pending_free" if is_read else "active_allocated"
    block = {"address": address, "size": size, "requested_size": 4 * count, "state": state, "frames": []}
    assert segment_of(address) == {
        "device": 0, "address": address, "total_size": size, "allocated_size": 0 if is_read else size,
        "active_size": size, "requested_size": 4 * count, "stream": 0, "segment_type": kind,
        "segment_pool_id": (0, 0), "is_expandable": False, "frames": [], "blocks": [block],
    }  # fmt: skip
    side.synchronize()


def test_the_snapshot_goes_by_device_and_address():
    side = busy()
    held = [torch.empty(8, device="cuda:1"), torch.empty(MIB, device="cuda:0")]
    dropped(side, count=4 * MIB)
    held.append(torch.empty(MIB // 2, device="cuda:0"))
    told = [(part["device"], part["address"]) for part in torch.cuda.memory_snapshot()]
    assert told == sorted(told) and {device for device, _ in told} == {0, 1}
    side.synchronize()


SIZES = {
    0: "0 bytes", 1: "1 bytes", 1024: "1024 bytes", 1025: "1.00 KiB", 1536: "1.50 KiB",
    1 << 20: "1024.00 KiB",
    (1 << 20) + 1: "1.00 MiB", 5 << 19: "2.50 MiB", 1 << 30: "1024.00 MiB", 3 << 29: "1.50 GiB",
    5 << 40: "5120.00 GiB",
}  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_sizes_are_written_as_pytorch_writes_them(size):
    assert readable(size) == SIZES[size]


def test_each_device_is_asked_for_its_own_memory():
    held = [torch.empty(MIB, device="cuda:0"), torch.empty(3 * MIB, device="cuda:1")]
    free = [torch.cuda.mem_get_info(index)[0] for index in range(2)]
    reserved = [torch.cuda.memory_stats(index)["reserved_bytes.all.current"] for index in range(2)]
    assert held and free[0] - free[1] == reserved[1] - reserved[0] > 0
    assert reserved == [torch.cuda.memory_reserved(index) for index in range(2)]


def test_without_a_limit_all_of_the_memory_is_allowed():
    import cupy

    cupy.get_default_memory_pool().set_limit(size=0)
    assert torch.cuda.get_per_process_memory_fraction() == 1.0


@pytest.mark.parametrize("named", [False, True])
def test_memory_is_lent_on_the_stream_that_is_named(named, monkeypatch):
    import cupy

    side, streams = torch.cuda.Stream(), []
    accounts = torch.device("cuda:0").backend.accounts
    inner = accounts.inner

    def heard(size: int) -> Any:
        streams.append(cupy.cuda.get_current_stream().ptr)
        return inner(size)

    monkeypatch.setattr(accounts, "inner", heard)
    torch.cuda.caching_allocator_delete(torch.cuda.caching_allocator_alloc(512, 0, side if named else None))
    assert streams == [side.cuda_stream if named else 0]


def test_pinned_memory_is_let_go_when_it_is_given_back():
    backend = torch.device("cuda:0").backend
    busy().synchronize()
    assert backend.pinned.in_flight
    torch.accelerator.empty_host_cache()
    assert not backend.pinned.in_flight
