"""devtensor.cuda where a stand-in serves the device type: indices, seeds, memory; and where nothing does."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor.backend import registry
from devtensor.core.errors import DeviceError
from devtensor_numpy.devices import NumpyBackend


class TwoDevices(NumpyBackend):
    """NumPy in the place of two CUDA devices."""

    name = "cuda"
    synchronized: list[int]

    def __init__(self) -> None:
        super().__init__()
        self.synchronized = []

    def device_count(self) -> int:
        return 2

    def synchronize(self, index: int) -> None:
        self.synchronized.append(index)


@pytest.fixture
def two_devices():
    backend = TwoDevices()
    registry.register(backend, name="cuda", replace=True)
    yield backend
    registry.unregister("cuda")
    torch.manual_seed(0)


def test_without_a_device_the_questions_are_answered():
    if torch.cuda.is_available():
        assert torch.cuda.device_count() > 0
        return
    assert torch.cuda.device_count() == 0
    assert not torch.cuda.is_bf16_supported()
    torch.cuda.manual_seed_all(3)
    with pytest.raises(DeviceError, match='"cuda" cannot be used'):
        torch.cuda.current_device()


def test_the_current_device_is_what_cuda_stands_for(two_devices):
    assert torch.cuda.is_available() and torch.cuda.device_count() == 2
    assert torch.ones(2).to("cuda").device == torch.device("cuda:0")
    with torch.cuda.device(1):
        assert torch.cuda.current_device() == 1
        assert torch.ones(2, device="cuda").device == torch.device("cuda:1")
    assert torch.cuda.current_device() == 0
    with pytest.raises(DeviceError, match="cuda:2 does not exist"):
        torch.cuda.set_device(2)
    with pytest.raises(DeviceError, match=r"cuda:0 and cuda:1|cuda:1"):
        torch.ones(2, device="cuda:0") + torch.ones(2, device="cuda:1")


def test_seeds_memory_and_waiting(two_devices):
    torch.cuda.manual_seed_all(5)
    first = [torch.rand(3, device=f"cuda:{i}").tolist() for i in range(2)]
    torch.manual_seed(5)
    assert first == [torch.rand(3).tolist()] * 2
    torch.cuda.synchronize()
    torch.cuda.synchronize("cuda:1")
    assert two_devices.synchronized == [0, 1]
    assert torch.cuda.max_memory_allocated() >= torch.cuda.memory_allocated() > 0
    assert torch.cuda.memory_reserved() > 0
