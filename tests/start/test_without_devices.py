"""What scripts ask about accelerators, on a machine that has none and on one with a stand-in."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor.backend import registry
from devtensor_numpy.devices import NumpyBackend

NEEDS_DEVICE = {
    "cuda": [
        "current_device", "get_device_capability", "get_device_name", "get_device_properties", "mem_get_info",
        "synchronize", "current_stream", "default_stream", "get_rng_state", "init", "initial_seed",
        "ipc_collect", "Stream", "Event",
    ],
    "xpu": ["current_device", "get_device_properties", "synchronize", "Stream"],
    "mps": [
        "synchronize", "empty_cache", "current_allocated_memory", "get_rng_state", "recommended_max_memory",
    ],
    "accelerator": [
        "current_device_index", "current_stream", "synchronize", "empty_cache", "memory_allocated",
        "memory_stats", "get_memory_info", "reset_peak_memory_stats", "get_device_capability",
    ],
}  # fmt: skip
ANSWERS = {
    "is_available": False,
    "is_initialized": False,
    "is_bf16_supported": False,
    "device_count": 0,
    "memory_allocated": 0,
    "max_memory_allocated": 0,
    "memory_reserved": 0,
    "max_memory_reserved": 0,
    "memory_stats": {},
    "get_rng_state_all": [],
    "empty_cache": None,
    "reset_peak_memory_stats": None,
    "seed_all": None,
}


@pytest.fixture
def no_device(monkeypatch):
    """The machine as one without an accelerator."""
    monkeypatch.setattr(registry, "names", lambda: ["cpu", "cuda", "meta"])
    monkeypatch.setattr(registry, "available", lambda name: name in ("cpu", "meta"))


class Card(NumpyBackend):
    """NumPy in the place of two CUDA devices that tell of themselves."""

    name = "cuda"
    calls: list

    def __init__(self) -> None:
        super().__init__()
        self.calls = []

    def device_count(self) -> int:
        return 2

    def properties(self, index: int) -> dict:
        return {"name": f"card {index}", "major": 9, "minor": 0}

    def free_memory(self, index: int) -> int:
        return 100 + index

    def release_memory(self, index: int) -> None:
        self.calls.append(("release", index))

    def reset_peak(self, index: int) -> None:
        self.calls.append(("reset", index))


@pytest.fixture
def card():
    backend = Card()
    registry.register(backend, name="cuda", replace=True)
    yield backend
    registry.unregister("cuda")


@pytest.mark.parametrize(("module", "name"), [(m, n) for m, names in NEEDS_DEVICE.items() for n in names])
def test_what_needs_a_device_says_that_there_is_none(no_device, module, name):
    with pytest.raises(AssertionError) as caught:
        getattr(getattr(torch, module), name)()
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("module", ["cuda", "xpu"])
@pytest.mark.parametrize(("name", "answer"), ANSWERS.items())
def test_what_only_asks_is_answered(no_device, module, name, answer):
    assert getattr(getattr(torch, module), name)() == answer


def test_calls_that_do_nothing_without_a_device(no_device):
    torch.cuda.manual_seed(3)
    torch.cuda.set_device(-1)
    torch.cuda.set_rng_state_all([])
    with torch.cuda.device(-1), torch.cuda.device(None), torch.cuda.stream(None):
        assert "CUDA memory summary, device ID 0" in torch.cuda.memory_summary()
    with torch.cuda.device_of(torch.ones(1)):
        assert torch.cuda.get_arch_list() == [] and torch.cuda.default_generators == ()
    with pytest.raises(AssertionError), torch.cuda.device(0):
        pass
    assert torch.accelerator.current_accelerator() is None and torch.accelerator.device_count() == 0
    with pytest.raises(TypeError, match="not available"):
        torch.cuda.FloatTensor(3)
    assert not isinstance(torch.ones(1), torch.cuda.FloatTensor)
    with pytest.raises(AssertionError):
        torch.ones(1).cuda()


def test_a_device_tells_of_itself(card):
    assert torch.cuda.get_device_name(1) == "card 1"
    assert torch.cuda.get_device_capability() == (9, 0)
    assert torch.cuda.get_device_properties("cuda:0").total_memory == card.memory(0).total
    assert torch.cuda.mem_get_info(1)[0] == 101
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(1)
    assert card.calls == [("release", 0), ("release", 1), ("reset", 1)]
    stats = torch.cuda.memory_stats()
    assert stats["allocated_bytes.all.current"] > 0 and torch.cuda.is_initialized()
    assert torch.accelerator.current_accelerator() == torch.device("cuda")
    assert torch.accelerator.get_memory_info(0) == torch.cuda.mem_get_info(0)
    with torch.accelerator.device_index(1):
        assert torch.accelerator.current_device_index() == torch.cuda.current_device() == 1
    with pytest.raises(ValueError, match="Expected a cuda device"):
        torch.cuda.get_device_name("cpu")


def test_random_states_of_a_device(card):
    torch.cuda.manual_seed_all(5)
    states = torch.cuda.get_rng_state_all()
    first = torch.rand(3, device="cuda:1").tolist()
    torch.cuda.set_rng_state_all(states)
    assert torch.rand(3, device="cuda:1").tolist() == first and len(states) == 2
    assert torch.cuda.initial_seed() == 5 and len(torch.cuda.default_generators) == 2


def test_streams_and_events(card):
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    with pytest.raises(ValueError, match="recorded"):
        start.elapsed_time(end)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        assert torch.cuda.current_stream() is side and torch.cuda.current_stream(1) is not side
        start.record()
        end.record(side)
    assert torch.cuda.current_stream() is not side
    assert 0 <= start.elapsed_time(end) < 1000 and end.query() and side.query()
    with pytest.raises(ValueError, match="enable_timing"):
        start.elapsed_time(side.record_event())
    assert isinstance(side, torch.Stream) and side == torch.cuda.default_stream()


def test_the_legacy_types_of_a_device(card):
    made = torch.cuda.LongTensor([1, 2])
    assert made.device == torch.device("cuda:0") and made.type() == "devtensor.cuda.LongTensor"
    assert isinstance(made, torch.cuda.LongTensor) and not isinstance(made, torch.LongTensor)
    assert torch.ones(2).type(torch.cuda.HalfTensor).is_cuda
    assert made.new([3]).device == made.device and torch.cuda.LongTensor.is_cuda


def test_the_processor_as_a_device():
    assert torch.cpu.is_available() and torch.cpu.device_count() == 1 and torch.cpu.current_device() == "cpu"
    with torch.cpu.stream(torch.cpu.current_stream()), torch.Stream():
        torch.cpu.synchronize()
    with pytest.warns(FutureWarning, match="write amp.autocast"):
        region = torch.cpu.amp.autocast()
    with region:
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.bfloat16


def test_kinds_of_tensors_that_there_are_none_of():
    x = torch.ones(2)
    for name in ("cuda", "ipu", "maia", "meta", "mkldnn", "mps", "mtia", "nested", "quantized", "sparse",
                 "sparse_csr", "vulkan", "xla", "xpu"):  # fmt: skip
        assert getattr(x, f"is_{name}") is False, name
    assert x.is_cpu and x.layout is torch.strided and x.layout != torch.sparse_coo and x.name is None
    assert not x.is_distributed() and not torch.is_distributed(x) and not torch.is_vulkan_available()
    assert torch.ones(2, 3, 4).permute(2, 0, 1).dim_order() == (1, 2, 0)
    with pytest.raises(RuntimeError):
        x.is_coalesced()
