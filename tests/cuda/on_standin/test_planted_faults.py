"""What late streams are worth: each wait and each hold of the backend, left out, gives wrong numbers.

Kernels and copies run when somebody waits for them, and read memory only then; freed memory is poison.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import devtensor as torch
from devtensor_cupy.memory import Accounts
from devtensor_cupy.pinned import Pinned
from devtensor_cupy.queues import Queues

SIZE = 64


@pytest.fixture(autouse=True)
def late() -> Iterator[None]:
    from cupy._machine import Late, finish

    Late.on = True
    yield
    Late.on = False
    for index in range(2):
        finish(index)
    Late.memory.clear()


def numbers(value: float, **where: Any) -> torch.Tensor:
    return torch.full((SIZE,), value, **where)


def is_right(found: torch.Tensor, value: float) -> bool:
    torch.cuda.synchronize(0)
    torch.cuda.synchronize(1)
    return found.tolist() == [value] * SIZE


def one_stream() -> bool:
    x = numbers(3.0, device="cuda")
    y = (x * 2 + 1).reshape(8, 8)
    y[0] = 7.0
    return is_right((y @ torch.eye(8, device="cuda")).flatten(), 7.0)


def one_stream_waits_for_another() -> bool:
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        x = numbers(3.0, device="cuda") * 2
    torch.cuda.current_stream().wait_stream(side)
    return is_right(x + 1, 7.0)


def an_event_is_waited_for() -> bool:
    side, event = torch.cuda.Stream(), torch.cuda.Event()
    x = numbers(3.0, device="cuda") * 2
    event.record()
    with torch.cuda.stream(side):
        event.wait()
        y = x + 1
    side.synchronize()
    return is_right(y, 7.0)


def another_device_reads() -> bool:
    x = numbers(3.0, device="cuda:0") * 2
    return is_right(x.to("cuda:1") + 1, 7.0)


def another_device_reads_columns() -> bool:
    x = torch.full((8, SIZE // 4), 3.0, device="cuda:0") * 2
    return is_right((x[:, ::2].to("cuda:1") + 1).flatten(), 7.0)


def what_another_device_reads_is_overwritten() -> bool:
    x = numbers(3.0, device="cuda:0")
    y = x.to("cuda:1")
    x.fill_(9.0)
    torch.cuda.synchronize(0)
    return is_right(y, 3.0)


def what_a_stream_reads_is_freed() -> bool:
    side = torch.cuda.Stream()
    x = numbers(3.0, device="cuda")
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        y = x * 2
    x.record_stream(side)
    del x
    numbers(9.0, device="cuda")
    torch.cuda.default_stream().synchronize()
    return is_right(y, 6.0)


def a_pinned_buffer_is_freed() -> bool:
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        x = numbers(3.0, pin_memory=True).to("cuda", non_blocking=True)
    gc.collect()
    numbers(9.0, pin_memory=True)
    return is_right(x, 3.0)


def a_pinned_buffer_is_reused() -> bool:
    buffer = numbers(3.0, pin_memory=True)
    x = buffer.to("cuda")
    buffer.fill_(9.0)
    return is_right(x, 3.0)


def pageable_memory_that_the_device_reads_is_reused() -> bool:
    from cupy._machine import Late

    Late.reads_hosts = True
    try:
        buffer = numbers(3.0)
        x = buffer.to("cuda")
        buffer.fill_(9.0)
        return is_right(x, 3.0)
    finally:
        Late.reads_hosts = False


def a_tensor_on_its_way_to_the_host_is_freed() -> bool:
    side, buffer = torch.cuda.Stream(), torch.zeros(SIZE, pin_memory=True)
    x = numbers(3.0, device="cuda")
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        buffer.copy_(x, non_blocking=True)
    del x
    gc.collect()
    numbers(9.0, device="cuda")
    torch.cuda.default_stream().synchronize()
    return is_right(buffer, 3.0)


SCENARIOS = [
    one_stream,
    one_stream_waits_for_another,
    an_event_is_waited_for,
    another_device_reads,
    another_device_reads_columns,
    what_another_device_reads_is_overwritten,
    what_a_stream_reads_is_freed,
    a_pinned_buffer_is_freed,
    a_pinned_buffer_is_reused,
    pageable_memory_that_the_device_reads_is_reused,
    a_tensor_on_its_way_to_the_host_is_freed,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_with_all_waits_the_numbers_are_right(scenario):
    assert scenario()


@contextlib.contextmanager
def without_event_waits(*numbers_of_waits: int) -> Iterator[None]:
    """CuPy's `wait_event` does nothing, those of the given numbers in order."""
    from cupy.cuda._streams import BaseStream

    waits, count = BaseStream.wait_event, iter(range(100))

    def wait(self: Any, event: Any) -> None:
        if next(count) not in numbers_of_waits:
            waits(self, event)

    BaseStream.wait_event = wait
    yield
    BaseStream.wait_event = waits


@contextlib.contextmanager
def replaced(kind: type, name: str, function: Callable[..., Any]) -> Iterator[None]:
    before = getattr(kind, name)
    setattr(kind, name, function)
    yield
    setattr(kind, name, before)


@contextlib.contextmanager
def columns_as_they_are() -> Iterator[None]:
    import cupy

    before, cupy.ascontiguousarray = cupy.ascontiguousarray, lambda array: array
    yield
    cupy.ascontiguousarray = before


def settled_unasked(self: Accounts) -> None:
    self.waiting = []


@dataclass(frozen=True)
class Fault:
    """What the backend forgets, and where that must show."""

    name: str
    plant: Callable[[], Any]
    scenario: Callable[[], bool]


FAULTS = [
    Fault(
        "wait_stream waits for nothing",
        lambda: replaced(Queues, "wait", lambda *ignored: None),
        one_stream_waits_for_another,
    ),
    Fault(
        "wait_event waits for nothing",
        lambda: replaced(Queues, "wait", lambda *ignored: None),
        an_event_is_waited_for,
    ),
    Fault(
        "an event is not recorded",
        lambda: replaced(Queues, "record", lambda *ignored: None),
        an_event_is_waited_for,
    ),
    Fault(
        "a copy between devices begins before its source is ready",
        lambda: without_event_waits(0),
        another_device_reads,
    ),
    Fault(
        "a copy between devices leaves columns to CuPy",
        columns_as_they_are,
        another_device_reads_columns,
    ),
    Fault(
        "the source goes on before a copy between devices has read it",
        lambda: without_event_waits(1),
        what_another_device_reads_is_overwritten,
    ),
    Fault(
        "record_stream is forgotten",
        lambda: replaced(Accounts, "record_stream", lambda *ignored: None),
        what_a_stream_reads_is_freed,
    ),
    Fault(
        "memory is given back without asking its streams",
        lambda: replaced(Accounts, "settle", settled_unasked),
        what_a_stream_reads_is_freed,
    ),
    Fault(
        "a pinned buffer is not kept",
        lambda: replaced(Pinned, "keep", lambda *ignored: None),
        a_pinned_buffer_is_freed,
    ),
    Fault(
        "a pinned buffer is let go of without asking its event",
        lambda: replaced(Pinned, "settle", lambda self, *begun: self.in_flight.clear()),
        a_pinned_buffer_is_freed,
    ),
    Fault(
        "a blocking copy from pinned memory is not waited for",
        lambda: replaced(type(torch.device("cuda:0").backend), "wait_for_copy", lambda self: None),
        a_pinned_buffer_is_reused,
    ),
    Fault(
        "a blocking copy from pageable memory is not waited for",
        lambda: replaced(type(torch.device("cuda:0").backend), "wait_for_copy", lambda self: None),
        pageable_memory_that_the_device_reads_is_reused,
    ),
    Fault(
        "a tensor on its way to the host is not kept",
        lambda: replaced(Pinned, "keep", lambda *ignored: None),
        a_tensor_on_its_way_to_the_host_is_freed,
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_planted_fault_is_found(fault):
    with fault.plant():
        assert not fault.scenario()
