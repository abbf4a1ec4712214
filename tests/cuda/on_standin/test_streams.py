"""Streams order work, events tell moments: copies that are only begun show who waits and who does not."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor.core.errors import ArgumentError


def begun(stream, value: float = 3.0, count: int = 8):
    """A tensor whose numbers are still on their way on a stream."""
    source = torch.full((count,), value).pin_memory()
    with torch.cuda.stream(stream):
        return source.to("cuda", non_blocking=True)


def test_the_default_stream_does_not_wait_for_others():
    side = torch.cuda.Stream()
    x = begun(side)
    assert not side.query()
    assert (x + 0).tolist() != [3.0] * 8
    torch.cuda.current_stream().wait_stream(side)
    assert (x + 0).tolist() == [3.0] * 8 and side.query()


def test_wait_event_and_record_event():
    side, other = torch.cuda.Stream(), torch.cuda.Stream()
    x = begun(side)
    event = side.record_event()
    assert not event.query()
    later = begun(side, 4.0)
    with torch.cuda.stream(other):
        other.wait_event(event)
        assert (x * 2).tolist() == [6.0] * 8
    assert event.query() and not side.query()
    side.synchronize()
    assert later.tolist() == [4.0] * 8


@pytest.mark.parametrize("wait", ["stream", "event", "device"])
def test_the_host_waits(wait):
    side = torch.cuda.Stream()
    x = begun(side)
    if wait == "stream":
        side.synchronize()
    elif wait == "event":
        side.record_event().synchronize()
    else:
        torch.cuda.synchronize()
    assert side.query() and x.tolist() == [3.0] * 8


def test_current_and_default_streams():
    side = torch.cuda.Stream(priority=-1)
    before = torch.cuda.current_stream()
    assert before == torch.cuda.default_stream() and before.cuda_stream == 0
    with torch.cuda.stream(side) as context, torch.cuda.stream(None):
        assert context is None and torch.cuda.current_stream() == side
        assert torch.cuda.default_stream() == before
    assert torch.cuda.current_stream() == before and side != before
    with side:
        assert torch.cuda.current_stream() is side
    torch.cuda.set_stream(side)
    assert torch.cuda.current_stream() == side
    torch.cuda.set_stream(before)
    assert torch.cuda.Stream.priority_range() == (0, -5) and side.priority == -1
    assert repr(side) == f"<devtensor.cuda.Stream device=cuda:0 cuda_stream={side.cuda_stream:#x}>"


def test_streams_of_other_devices():
    side = torch.cuda.Stream(1)
    assert side.device == torch.device("cuda:1")
    with torch.cuda.stream(side):
        assert torch.cuda.current_device() == 1 and torch.cuda.current_stream() == side
    assert torch.cuda.current_device() == 0
    assert torch.cuda.current_stream(1) != side


@pytest.mark.parametrize("cupy_is_old", [False, True])
def test_external_streams_are_taken_in(cupy_is_old, monkeypatch, recwarn):
    """CuPy 14 warns of the only way that CuPy 13 has."""
    import cupy

    if cupy_is_old:
        monkeypatch.delattr(cupy.cuda.Stream, "from_external")
    for index in (0, 1):
        side = torch.cuda.Stream(index)
        outside = torch.cuda.ExternalStream(side.cuda_stream, index)
        assert outside.cuda_stream == side.cuda_stream and outside == side
        assert torch.cuda.get_stream_from_external(side.cuda_stream, index) == side
        x = begun(side)
        with torch.cuda.stream(outside):
            assert torch.cuda.current_stream() == side
            assert (x.to(f"cuda:{index}") + 1).tolist() == [4.0] * 8
    assert bool(recwarn.list) is cupy_is_old


def test_other_libraries_take_our_streams_in():
    import cupy

    side = torch.cuda.Stream()
    assert cupy.cuda.Stream.from_external(side).ptr == side.cuda_stream != 0
    assert torch.cuda.default_stream().__cuda_stream__() == (0, 0)


def test_a_fault_is_no_answer_to_whether_work_is_done():
    """CuPy takes it for a no, for which a program would ask for ever."""
    from cupy._machine import faults

    side, event = torch.cuda.Stream(), torch.cuda.Event()
    event.record(side)
    assert side.query() and event.query()
    faults.pending = "cudaErrorIllegalAddress"
    for asked in (side, event):
        with pytest.raises(RuntimeError, match="cudaErrorIllegalAddress"):
            asked.query()


def test_another_library_s_memory_is_its_own_to_keep():
    import cupy

    side = torch.cuda.Stream()
    backend = torch.device("cuda:0").backend
    taken = torch.ones(3, device="cuda")
    held = cupy.cuda.UnownedMemory(1 << 40, 512, None, 0)
    taken.array.block.mem = held
    taken.record_stream(side)
    assert held.ptr not in backend.accounts.used_by


def test_events_keep_time():
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    with pytest.raises(ArgumentError, match="recorded"):
        start.elapsed_time(end)
    assert repr(start) == "<devtensor.cuda.Event uninitialized>" and start.query()
    start.record()
    torch.ones(4, device="cuda").sum()
    end.record()
    end.synchronize()
    assert start.elapsed_time(end) > 0 and end.cuda_event and repr(end).endswith(f"{end.cuda_event:#x}>")
    with pytest.raises(ArgumentError, match="enable_timing"):
        start.elapsed_time(torch.cuda.Event())


def test_an_event_that_has_not_happened_has_no_time():
    side = torch.cuda.Stream()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    begun(side)
    end.record(side)
    with pytest.raises(ArgumentError, match="completed"):
        start.elapsed_time(end)


def test_an_event_belongs_to_the_device_it_was_recorded_on():
    event = torch.cuda.Event()
    event.record()
    with pytest.raises(ArgumentError, match="does not match"):
        event.record(torch.cuda.Stream(1))


def test_record_stream_keeps_memory_until_the_stream_has_read_it():
    side = torch.cuda.Stream()
    begun(side)
    x = torch.ones(1 << 10, device="cuda")
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved()
    x.record_stream(side)
    del x
    backend = torch.device("cuda:0").backend
    assert len(backend.accounts.waiting) == 1
    torch.ones(1 << 10, device="cuda")
    assert torch.cuda.memory_reserved() > held
    side.synchronize()
    torch.ones(4, device="cuda")
    assert not backend.accounts.waiting
