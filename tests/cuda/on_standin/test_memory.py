"""Memory of devices: what is in use, peaks, limits, and the error when it does not suffice."""

from __future__ import annotations

import pytest

import devtensor as torch

MIB = 1 << 20


@pytest.fixture(autouse=True)
def empty():
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.reset_accumulated_memory_stats()
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_allocated_reserved_and_peaks():
    torch.ones(1, device="cuda") + 1
    before = torch.cuda.memory_allocated()
    x = torch.ones(MIB, device="cuda")
    assert torch.cuda.memory_allocated() - before == 4 * MIB
    y = x + 1
    del x
    assert torch.cuda.memory_allocated() - before == 4 * MIB
    assert torch.cuda.max_memory_allocated() - before >= 8 * MIB
    assert torch.cuda.memory_reserved() >= torch.cuda.max_memory_allocated()
    del y
    assert torch.cuda.memory_allocated() == before
    reserved = torch.cuda.memory_reserved()
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() == reserved - 8 * MIB
    assert torch.cuda.max_memory_reserved() >= reserved
    torch.cuda.reset_peak_memory_stats()
    assert torch.cuda.max_memory_allocated() == before
    assert torch.cuda.max_memory_reserved() == torch.cuda.memory_reserved()


def test_each_device_counts_for_itself():
    before = torch.cuda.memory_allocated(1)
    x = torch.ones(MIB, device="cuda:1")
    assert torch.cuda.memory_allocated(1) - before == 4 * MIB
    assert x.device.index == 1 and torch.cuda.memory_allocated("cuda:1") == torch.cuda.memory_allocated(1)


def test_views_hold_the_memory_of_what_they_look_at():
    before = torch.cuda.memory_allocated()
    part = torch.ones(MIB, device="cuda")[:1]
    assert torch.cuda.memory_allocated() - before == 4 * MIB
    del part
    assert torch.cuda.memory_allocated() == before


def test_stats_and_summary():
    x = torch.ones(256, device="cuda")
    stats = torch.cuda.memory_stats()
    assert stats["allocation.all.allocated"] == 1 and stats["allocation.all.freed"] == 0
    assert stats["allocated_bytes.all.current"] == torch.cuda.memory_allocated() >= x.nbytes
    assert list(stats) == sorted(stats) and stats["num_ooms"] == 0
    free, total = torch.cuda.mem_get_info()
    assert total - free == torch.cuda.memory_reserved()


def test_out_of_memory_names_the_request_and_what_is_held():
    torch.cuda.set_per_process_memory_fraction(0.001)
    held = torch.ones(MIB, device="cuda")
    with pytest.raises(
        torch.cuda.OutOfMemoryError, match=r"CUDA out of memory. Tried to allocate 64.00 MiB"
    ) as told:
        torch.empty(16 * MIB, device="cuda")
    assert (
        "GPU 0" in str(told.value)
        and "of 8.00 GiB" in str(told.value)
        and "limit is 8.19 MiB" in str(told.value)
    )
    assert isinstance(told.value, RuntimeError) and torch.cuda.memory_stats()["num_ooms"] == 1
    del held
    torch.cuda.empty_cache()
    assert torch.ones(MIB, device="cuda").sum().item() == MIB


def test_memory_that_another_stream_still_reads_is_waited_for_before_giving_up():
    torch.cuda.set_per_process_memory_fraction(0.001)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        torch.ones(4).pin_memory().to("cuda", non_blocking=True)
    x = torch.ones(MIB, device="cuda")
    x.record_stream(side)
    del x
    assert torch.ones(MIB + MIB // 2, device="cuda").sum().item() == MIB + MIB // 2
    assert side.query()


def test_the_limit_is_told_and_statistics_nest():
    assert torch.cuda.get_per_process_memory_fraction() == 1.0
    torch.cuda.set_per_process_memory_fraction(0.25, 1)
    assert torch.cuda.get_per_process_memory_fraction("cuda:1") == 0.25
    torch.cuda.set_per_process_memory_fraction(1.0, 1)
    nested = torch.cuda.memory.memory_stats_as_nested_dict()
    assert nested["allocated_bytes"]["all"]["current"] == torch.cuda.memory_allocated()


def test_a_fraction_of_nothing_allows_nothing():
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.0)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        torch.empty(16 * MIB, device="cuda")
    assert torch.cuda.get_per_process_memory_fraction() < 1e-6


@pytest.mark.parametrize(("fraction", "error"), [(2.0, ValueError), (-0.5, ValueError), (1, TypeError)])
def test_what_is_no_fraction_is_refused(fraction, error):
    with pytest.raises(error, match="fraction"):
        torch.cuda.set_per_process_memory_fraction(fraction)


def test_properties():
    told = torch.cuda.get_device_properties(0)
    assert told.name == torch.cuda.get_device_name(1) == "Stand-in"
    assert (told.major, told.minor) == torch.cuda.get_device_capability() == (9, 0)
    assert told.total_memory == 8 << 30 and told.multi_processor_count == 4 and told.warp_size == 32
    assert torch.cuda.can_device_access_peer(0, 1) and not torch.cuda.can_device_access_peer(0, 0)
    assert torch.cuda.device_count() == 2 and torch.cuda.is_bf16_supported()
    assert "Stand-in, Stand-in" in torch.device("cuda:0").backend.describe()["devices"]
