"""Copies between host and devices: pinned memory, its lifetime, and what may be mixed."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import devtensor as torch
from devtensor.core.errors import ArgumentError, DeviceError


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
def test_pinned_tensors_are_copies_that_say_so(dtype):
    x = torch.tensor([[0, 1], [2, 3]]).to(dtype)
    pinned = x.pin_memory()
    assert pinned.is_pinned() and not x.is_pinned() and pinned.dtype is dtype
    assert pinned.pin_memory() is pinned and pinned[1:].is_pinned()
    assert torch.equal(pinned, x) and torch.equal(pinned.cuda().cpu(), x)
    with pytest.raises(ArgumentError, match="only dense CPU tensors"):
        x.cuda().pin_memory()


def test_a_blocking_copy_has_happened_when_it_returns():
    side = torch.cuda.Stream()
    x = torch.ones(4).pin_memory()
    with torch.cuda.stream(side):
        moved = x.to("cuda")
    x.zero_()
    side.synchronize()
    assert moved.tolist() == [1.0] * 4


def test_a_pinned_buffer_lives_until_its_copy_has_happened():
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        moved = torch.full((4,), 5.0).pin_memory().to("cuda", non_blocking=True)
    gc.collect()
    assert not side.query()
    side.synchronize()
    assert moved.tolist() == [5.0] * 4


def test_pageable_memory_is_copied_at_once():
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        moved = torch.full((4,), 5.0).to("cuda", non_blocking=True)
    assert side.query() and moved.tolist() == [5.0] * 4


def test_copies_to_the_host_that_are_not_waited_for():
    x = torch.arange(6, device="cuda").reshape(2, 3).T
    there = x.to("cpu", non_blocking=True)
    assert there.is_pinned() and there.shape == (3, 2)
    torch.cuda.synchronize()
    assert there.tolist() == [[0, 3], [1, 4], [2, 5]]
    dropped = x.to("cpu", non_blocking=True)
    del dropped
    gc.collect()
    torch.cuda.synchronize()


def test_a_conversion_on_the_host_waits():
    x = torch.arange(4, device="cuda")
    assert x.to("cpu", torch.float64, non_blocking=True).tolist() == [0, 1, 2, 3]


def test_copy_into_a_device_tensor_without_waiting():
    side = torch.cuda.Stream()
    target = torch.zeros(4, device="cuda")
    with torch.cuda.stream(side):
        target.copy_(torch.full((4,), 2.0, dtype=torch.float64).pin_memory(), non_blocking=True)
        assert target.tolist() == [2.0] * 4


def test_copies_between_devices_keep_the_order():
    side = torch.cuda.Stream(0)
    with torch.cuda.stream(side):
        x = torch.full((4,), 7.0).pin_memory().to("cuda:0", non_blocking=True)
        there = x.to("cuda:1")
    assert there.device == torch.device("cuda:1") and there.tolist() == [7.0] * 4


def test_devices_are_not_mixed_but_for_numbers_and_indices():
    x = torch.arange(4.0, device="cuda")
    for other in (torch.ones(4), torch.ones(4, device="cuda:1"), torch.ones((), device="cuda:1")):
        with pytest.raises(DeviceError, match="cuda:0"):
            x + other
    assert (x + torch.tensor(2.0)).tolist() == [2, 3, 4, 5]
    assert x[torch.tensor([3, 0])].tolist() == [3, 0]
    assert x[torch.tensor([True, False, False, True])].tolist() == [0, 3]
    x[torch.tensor([1])] = 9.0
    assert x.tolist() == [0, 9, 2, 3]
    with pytest.raises(DeviceError):
        torch.arange(4)[torch.tensor([1], device="cuda")]


class Producer:
    """Another library's array."""

    def __init__(self, array) -> None:
        self.array = array

    def __dlpack__(self, **asked):
        return self.array.__dlpack__(**asked)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_capsules_are_asked_for_with_the_reader_s_stream():
    from cupy._arrays import streams_asked

    x = torch.arange(4.0, device="cuda")
    side = torch.cuda.Stream()
    streams_asked.clear()
    with torch.cuda.stream(side):
        seen = torch.from_dlpack(Producer(x.array))
    assert streams_asked == [side.cuda_stream]
    x[0] = 8
    assert seen.tolist()[0] == 8
    streams_asked.clear()
    x.__dlpack__(stream=2)
    assert streams_asked == [2]


def test_numpy_arrays_do_not_slip_in():
    backend = torch.device("cuda:0").backend
    with pytest.raises(TypeError, match="no CuPy array"):
        backend.adopt([1.0])
    with pytest.raises(TypeError, match="NumPy"):
        np.asarray(torch.ones(2, device="cuda").array)
