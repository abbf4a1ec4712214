"""Streams and events of a device that is not the current one, and what CuPy is asked to make."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import devtensor as torch


def begun(stream: torch.cuda.Stream) -> torch.Tensor:
    """A tensor whose numbers are still on their way on a stream."""
    with torch.cuda.stream(stream):
        return torch.full((4,), 3.0).pin_memory().to(stream.device, non_blocking=True)


@pytest.fixture
def other() -> torch.cuda.Stream:
    """The default stream of a device that is not current; both devices' are one to CUDA."""
    assert torch.cuda.current_device() == 0
    return torch.cuda.default_stream(1)


def test_it_is_asked_whether_it_is_done(other):
    x = begun(other)
    assert not other.query() and torch.cuda.default_stream(0).query()
    torch.cuda.synchronize(1)
    assert other.query() and x.tolist() == [3.0] * 4


def test_it_is_waited_for(other):
    x = begun(other)
    other.synchronize()
    assert other.query() and x.tolist() == [3.0] * 4


def test_its_moments_are_its_own(other):
    begun(other)
    event = other.record_event()
    assert not event.query() and event.device == torch.device("cuda:1")
    other.synchronize()
    assert event.query()


def test_it_waits_for_events(other):
    side = torch.cuda.Stream(1)
    begun(side)
    other.wait_event(side.record_event())
    assert not other.query() and torch.cuda.default_stream(0).query()
    other.synchronize()
    assert side.query()


@pytest.mark.parametrize("place", range(3), ids=["timing", "blocking", "interprocess"])
def test_an_event_is_made_as_it_was_asked_for(place, monkeypatch):
    import cupy

    asked: list[dict[str, Any]] = []
    event = cupy.cuda.Event

    def made(**options: Any) -> Any:
        asked.append(options)
        return event()

    monkeypatch.setattr(cupy.cuda, "Event", made)
    options = [k == place for k in range(3)]
    torch.cuda.Event(*options).record()
    timing, blocking, interprocess = options
    assert asked == [{"block": blocking, "disable_timing": not timing, "interprocess": interprocess}]


@pytest.mark.parametrize(("asked", "found"), [(0, 0), (-1, -1), (-99, -5), (7, 0)])
def test_a_priority_is_the_nearest_that_there_is(asked, found):
    assert torch.cuda.Stream(priority=asked).priority == found


@pytest.mark.parametrize("native", [SimpleNamespace(), SimpleNamespace(priority=None)], ids=["no", "none"])
def test_a_stream_that_tells_no_priority_has_the_default_one(native):
    assert torch.device("cuda:0").backend.queues.priority(native) == 0
