"""What is counted of memory, by PyTorch's names, and what is told of single blocks."""

from __future__ import annotations

import gc
import pickle

import pytest

import devtensor as torch
from devtensor.core.errors import ArgumentError, ArgumentTypeError

MIB = 1 << 20


@pytest.fixture(autouse=True)
def from_nothing():
    for index in range(2):
        torch.cuda.synchronize(index)
    gc.collect()
    torch.cuda.host_memory_stats()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.reset_accumulated_memory_stats()
    torch.cuda.reset_peak_host_memory_stats()
    torch.cuda.reset_accumulated_host_memory_stats()


def changes(before: dict[str, int], name: str) -> list[int]:
    """How far now, peak, taken and given back are from what was."""
    after = torch.cuda.memory_stats()
    names = [f"{name}.{what}" for what in ("current", "peak", "allocated", "freed")]
    return [after[name] - before[name] for name in names]


def test_every_name_of_pytorch_s_is_there():
    parted = ("allocation", "segment", "active", "inactive_split")
    wide = ("allocated_bytes", "reserved_bytes", "active_bytes", "inactive_split_bytes", "requested_bytes")
    stats = torch.cuda.memory_stats()
    for name in (*parted, *wide):
        for pool in ("all", "small_pool", "large_pool"):
            for what in ("current", "peak", "allocated", "freed"):
                assert stats[f"{name}.{pool}.{what}"] >= 0
    assert {"num_ooms", "num_alloc_retries", "max_split_size", "oversize_segments.peak"} <= stats.keys()
    assert list(stats) == sorted(stats) and len(stats) == 9 * 3 * 4 + 2 * 4 + 7


def test_small_and_large_requests_are_counted_apart():
    before = torch.cuda.memory_stats()
    small, large = torch.empty(10, device="cuda"), torch.empty(MIB, device="cuda")
    assert changes(before, "allocation.small_pool") == [1, 1, 1, 0]
    assert changes(before, "allocated_bytes.small_pool") == [512, 512, 512, 0]
    assert changes(before, "requested_bytes.small_pool") == [40, 40, 40, 0]
    assert changes(before, "allocated_bytes.large_pool") == [4 * MIB, 4 * MIB, 4 * MIB, 0]
    del large
    assert changes(before, "allocated_bytes.large_pool") == [0, 4 * MIB, 4 * MIB, 4 * MIB]
    assert changes(before, "allocation.all") == [1, 2, 2, 1]
    assert changes(before, "reserved_bytes.all")[0] >= 4 * MIB and small.is_cuda


def test_what_a_stream_still_reads_is_active():
    side = torch.cuda.Stream()
    before = torch.cuda.memory_stats()
    x = torch.empty(MIB, device="cuda")
    with torch.cuda.stream(side):
        torch.ones(4).pin_memory().to("cuda", non_blocking=True)
    x.record_stream(side)
    del x
    assert changes(before, "allocated_bytes.large_pool")[0] == 0
    assert changes(before, "active_bytes.large_pool")[0] == 4 * MIB
    states = [part["blocks"][0]["state"] for part in torch.cuda.memory_snapshot()]
    assert states.count("active_pending_free") == 1
    side.synchronize()
    torch.cuda.empty_cache()
    assert changes(before, "active_bytes.large_pool")[0] == 0


def test_reserved_memory_is_followed():
    before = torch.cuda.memory_stats()
    x = torch.empty(MIB, device="cuda")
    assert changes(before, "reserved_bytes.all")[:2] == [4 * MIB, 4 * MIB]
    assert torch.cuda.memory_stats()["num_device_alloc"] == 1
    del x
    torch.cuda.empty_cache()
    assert changes(before, "reserved_bytes.all") == [0, 4 * MIB, 4 * MIB, 4 * MIB]


def test_records_begin_anew_one_by_one():
    x = torch.empty(MIB, device="cuda")
    held = torch.cuda.memory_stats()["allocation.all.current"]
    del x
    torch.cuda.reset_peak_memory_stats()
    stats = torch.cuda.memory_stats()
    assert stats["allocation.all.peak"] == held - 1 and stats["allocation.all.freed"] == 1
    torch.accelerator.reset_accumulated_memory_stats()
    stats = torch.accelerator.memory_stats()
    assert stats["allocation.all.freed"] == stats["allocation.all.allocated"] == 0


def test_the_snapshot_names_every_block():
    x = torch.empty(MIB, device="cuda:1")
    (found,) = [part for part in torch.cuda.memory_snapshot() if part["address"] == x.array.block.ptr]
    assert found["device"] == 1 and found["total_size"] == 4 * MIB and found["segment_type"] == "large"
    assert found["blocks"][0]["state"] == "active_allocated"
    assert torch.cuda.memory_snapshot((1, 2)) == []


def test_a_snapshot_is_written(tmp_path):
    x = torch.empty(MIB, device="cuda:1")
    file = tmp_path / "snapshot.pickle"
    torch.cuda.memory._dump_snapshot(str(file))
    read = pickle.loads(file.read_bytes())
    assert len(read["device_traces"]) == 2 and read["segments"] == torch.cuda.memory_snapshot()
    assert all(part["device"] == x.device.index for part in torch.cuda.memory._snapshot(1)["segments"])


def test_the_table_shows_what_is_counted():
    x = torch.empty(3 * MIB, device="cuda")
    short, long = torch.cuda.memory_summary(0, abbreviated=True), torch.cuda.memory_summary()
    assert "device ID 0" in short and "from large pool" not in short and x.is_cuda
    lines = {line[1:23].strip(): line for line in long.splitlines()}
    kibibytes = torch.cuda.memory_allocated() // 1024
    assert f"{kibibytes:6d} KiB" in lines["Allocated memory"] and "CUDA OOMs: 0 " in long
    assert {len(line) for line in long.splitlines()} == {77}


def test_pinned_memory_is_counted():
    before = torch.cuda.host_memory_stats()
    x = torch.ones(256).pin_memory()
    view = x[3:]
    del x
    stats = torch.cuda.host_memory_stats()
    assert stats["active_bytes.current"] - before["active_bytes.current"] == 1024
    assert stats["active_requests.allocated"] == 1 and stats["host_alloc_time.count"] == 0
    del view
    gc.collect()
    stats = torch.cuda.host_memory_stats_as_nested_dict()
    assert stats["active_bytes"]["current"] == before["active_bytes.current"]
    assert stats["active_requests"]["freed"] == 1 and stats["active_bytes"]["peak"] >= 1024
    torch.cuda.reset_peak_host_memory_stats()
    torch.accelerator.empty_host_cache()
    assert torch.cuda.host_memory_stats()["active_bytes.peak"] == before["active_bytes.current"]


def test_memory_is_lent_by_its_address():
    before, side = torch.cuda.memory_allocated(1), torch.cuda.Stream(1)
    address = torch.cuda.caching_allocator_alloc(MIB, 1, side)
    assert address and torch.cuda.memory_allocated(1) == before + MIB
    torch.cuda.caching_allocator_delete(address)
    assert torch.cuda.memory_allocated(1) == before
    with pytest.raises(ArgumentError, match="no address"):
        torch.cuda.caching_allocator_delete(address)
    with pytest.raises(ArgumentTypeError, match="stream"):
        torch.cuda.caching_allocator_alloc(8, stream=3)


def test_cuda_s_own_functions():
    runtime = torch.cuda.cudart()
    assert runtime.cudaMemGetInfo(0) == torch.cuda.mem_get_info(0)
    assert runtime.cudaProfilerStart() == runtime.cudaProfilerStop() == runtime.cudaError.success == 0
    assert torch.cuda.current_blas_handle() > 0
    assert torch.cuda.FloatStorage(3).device.type == "cuda"
    stored = torch.ones(2, device="cuda").storage()
    assert isinstance(stored, torch.cuda.FloatStorage) and not isinstance(stored, torch.FloatStorage)
