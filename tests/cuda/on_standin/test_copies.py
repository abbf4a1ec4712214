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


def test_capsules_alone_say_where_their_memory_is():
    for index in (0, 1):
        x = torch.arange(3.0, device=f"cuda:{index}")
        back = torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(x))
        x[1] = 7
        assert back.device == x.device and back.tolist() == [0, 7, 2]
        versioned = x.__dlpack__(max_version=(1, 0))
        assert torch.from_dlpack(versioned).device == x.device


def test_who_takes_a_capsule_waits_for_the_stream_of_the_tensor_s_device():
    from cupy._arrays import writers

    side = torch.cuda.Stream(1)
    with torch.cuda.stream(side):
        x = torch.arange(4.0, device="cuda:1")
        writers.clear()
        with torch.cuda.device(0):
            x.__dlpack__(stream=2)
    assert writers == [(1, side.native.queue)]


def test_numpy_arrays_do_not_slip_in():
    backend = torch.device("cuda:0").backend
    with pytest.raises(TypeError, match="no CuPy array"):
        backend.adopt([1.0])
    with pytest.raises(TypeError, match="NumPy"):
        np.asarray(torch.ones(2, device="cuda").array)


def test_copies_into_pinned_memory_are_begun():
    side = torch.cuda.Stream()
    x, target = torch.arange(6.0, device="cuda").reshape(2, 3), torch.zeros(2, 3, pin_memory=True)
    version = target._version
    with torch.cuda.stream(side):
        side.wait_stream(torch.cuda.default_stream())
        assert target.copy_(x, non_blocking=True) is target
    assert target._version == version + 1 and not side.query() and not target.any()
    side.synchronize()
    assert torch.equal(target, x.cpu())


@pytest.mark.parametrize(
    "target",
    [
        lambda: torch.zeros(2, 3),
        lambda: torch.zeros(2, 3, dtype=torch.float64, pin_memory=True),
        lambda: torch.zeros(3, 2, pin_memory=True).T,
        lambda: torch.zeros(4, 2, 3, pin_memory=True),
        lambda: torch.zeros(2, 3, pin_memory=True).requires_grad_() * 1,
    ],
    ids=["pageable", "another dtype", "columns", "broadcast", "with history"],
)
def test_copies_that_cannot_be_begun_are_waited_for(target):
    x, found = torch.arange(6.0, device="cuda").reshape(2, 3), target()
    found.copy_(x, non_blocking=True)
    assert torch.equal(found.detach().float(), x.cpu().expand_as(found))


def test_a_device_tensor_lives_until_its_copy_to_pinned_memory_has_happened():
    side, target = torch.cuda.Stream(), torch.zeros(4, pin_memory=True)
    with torch.cuda.stream(side):
        target.copy_(torch.full((4,), 3.0, device="cuda"), non_blocking=True)
    gc.collect()
    torch.full((4,), 9.0, device="cuda")
    side.synchronize()
    assert target.tolist() == [3.0] * 4


CREATIONS = {
    "zeros": lambda: torch.zeros(2, 3, pin_memory=True),
    "empty": lambda: torch.empty((2, 3), pin_memory=True),
    "full": lambda: torch.full((2,), 3.0, pin_memory=True),
    "tensor": lambda: torch.tensor([1, 2], pin_memory=True),
    "arange": lambda: torch.arange(4, pin_memory=True),
    "linspace": lambda: torch.linspace(0, 1, 3, pin_memory=True),
    "logspace": lambda: torch.logspace(0, 1, 3, pin_memory=True),
    "eye": lambda: torch.eye(2, pin_memory=True),
    "rand": lambda: torch.rand(2, 3, pin_memory=True),
    "randint": lambda: torch.randint(5, (2, 3), pin_memory=True),
    "randperm": lambda: torch.randperm(4, pin_memory=True),
    "randn_like": lambda: torch.randn_like(torch.ones(2), pin_memory=True),
    "zeros_like": lambda: torch.zeros_like(torch.ones(2), pin_memory=True),
    "full_like": lambda: torch.full_like(torch.ones(2), 2.0, pin_memory=True),
    "new_zeros": lambda: torch.ones(2).new_zeros(3, pin_memory=True),
    "new_tensor": lambda: torch.ones(2).new_tensor([3], pin_memory=True),
    "empty_strided": lambda: torch.empty_strided((2, 3), (1, 2), pin_memory=True),
    "hann_window": lambda: torch.hann_window(4, pin_memory=True),
    "kaiser_window": lambda: torch.kaiser_window(4, pin_memory=True),
}


@pytest.mark.parametrize("name", CREATIONS)
def test_tensors_are_made_in_pinned_memory(name):
    assert CREATIONS[name]().is_pinned()


def test_pinned_copies_keep_the_order_of_dims():
    x = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)
    pinned = x.pin_memory()
    assert pinned.stride() == x.stride() and torch.equal(pinned, x)
    assert torch.empty_strided((2, 3), (1, 2), pin_memory=True).stride() == (1, 2)


def test_storages_are_pinned():
    x = torch.arange(3.0)
    for storage in (x.storage(), x.untyped_storage()):
        pinned = storage.pin_memory()
        assert pinned.is_pinned() and not storage.is_pinned() and pinned.pin_memory() is pinned
        assert pinned.tolist() == storage.tolist()


def test_loaders_pin_their_batches():
    data = torch.utils.data.TensorDataset(torch.arange(6.0), torch.arange(6))
    for x, y in torch.utils.data.DataLoader(data, batch_size=2, pin_memory=True):
        assert x.is_pinned() and y.is_pinned()
        assert torch.equal(x.to("cuda", non_blocking=True).cpu().long(), y)


def test_modules_move_without_waiting(counts):
    model = torch.nn.Linear(3, 2)
    for parameter in model.parameters():
        parameter.data = parameter.data.pin_memory()
    counts.clear()
    moved = model.to("cuda", non_blocking=True)
    assert counts["synchronisations"] == 0 and moved.weight.is_cuda
