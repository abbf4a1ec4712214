"""What scripts written for CUDA do: layouts kept between devices, threads, defaults, and what is refused."""

from __future__ import annotations

import threading

import pytest

import devtensor as torch
from devtensor.utils.data import DataLoader, TensorDataset

IMAGES = torch.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5)
LAYOUTS = {
    "rows": (IMAGES, (60, 20, 5, 1)),
    "transposed": (IMAGES.mT, (60, 20, 1, 5)),
    "channels last": (IMAGES.contiguous(memory_format=torch.channels_last), (60, 1, 15, 3)),
    "one channel": (IMAGES[:, :1], (20, 20, 5, 1)),
    "gaps": (IMAGES[:, :, ::2], (30, 10, 5, 1)),
    "gaps, transposed": (IMAGES[:, :, ::2].mT, (30, 10, 1, 5)),
    "expanded": (IMAGES[:1].expand(2, 3, 4, 5), (60, 20, 5, 1)),
}
WAYS = {
    "to the device": lambda x: x.cuda(),
    "and back": lambda x: x.cuda().cpu(),
    "between devices": lambda x: x.cuda(0).cuda(1),
    "from pinned memory": lambda x: x.clone().pin_memory().cuda(non_blocking=True),
    "to pinned memory": lambda x: x.cuda().to("cpu", non_blocking=True),
    "in another dtype": lambda x: x.to("cuda", torch.float64),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("way", WAYS)
def test_copies_lie_as_their_source(layout, way):
    source, strides = LAYOUTS[layout]
    found = WAYS[way](source)
    torch.cuda.synchronize()
    assert found.stride() == strides and found.tolist() == source.tolist()


def test_a_model_keeps_its_memory_format_on_the_device():
    model = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last).cuda()
    assert model.weight.is_contiguous(memory_format=torch.channels_last)
    assert model.cpu().weight.is_contiguous(memory_format=torch.channels_last)


def in_a_thread(ask):
    found = []
    thread = threading.Thread(target=lambda: found.append(ask()))
    thread.start()
    thread.join()
    return found[0]


def test_each_thread_has_a_current_and_a_default_device_of_its_own():
    with torch.cuda.device(1), torch.device("cuda"):
        assert torch.ones(1).device == torch.device("cuda:1")
        assert in_a_thread(lambda: (torch.cuda.current_device(), str(torch.ones(1).device))) == (0, "cpu")
        in_a_thread(lambda: torch.cuda.set_device(0))
        assert torch.cuda.current_device() == 1


def test_threads_side_by_side_do_not_take_each_other_s_device():
    together = threading.Barrier(2, timeout=20)
    found = {}

    def run(index: int) -> None:
        with torch.cuda.device(index):
            together.wait()
            found[index] = torch.ones(1, device="cuda").device.index
            together.wait()

    threads = [threading.Thread(target=run, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {0: 0, 1: 1}


@pytest.fixture
def cuda_by_default():
    torch.set_default_device("cuda")
    yield
    torch.set_default_device(None)
    torch.cuda.set_device(0)


def test_a_default_without_a_number_follows_the_current_device(cuda_by_default):
    torch.cuda.set_device(1)
    assert torch.ones(1).device == torch.get_default_device() == torch.device("cuda:1")


def test_lists_index_where_the_tensor_is(cuda_by_default):
    held = torch.arange(3.0, device="cpu")
    held[[0]] = 5.0
    assert held[[0, 2]].tolist() == [5, 2] and held[[True, False, True]].tolist() == [5, 2]
    rows = DataLoader(TensorDataset(held), shuffle=True, generator=torch.Generator(device="cuda"))
    assert sorted(row.item() for (row,) in rows) == [1, 2, 5]


def test_texts_tell_the_device_unless_it_is_the_default_type_s(cuda_by_default):
    there, here = torch.ones(1), torch.ones(1, device="cpu")
    assert repr(there) == "tensor([1.], device='cuda:0')" and repr(here) == "tensor([1.])"
    torch.set_default_tensor_type("torch.cuda.FloatTensor")
    try:
        assert repr(there) == "tensor([1.])" and repr(here) == "tensor([1.], device='cpu')"
        assert repr(there.to("cuda:1")) == "tensor([1.], device='cuda:1')"
    finally:
        torch.set_default_tensor_type("torch.FloatTensor")


def scalar() -> torch.Tensor:
    return torch.ones((), device="cuda")


SAME = "Expected all tensors to be on the same device"
REFUSED = {
    "a sum": (lambda x, y: x + y, RuntimeError, rf"\[add\] {SAME}.* cuda:0 and cpu: input is on cuda:0"),
    "what helps": (lambda x, y: y @ x, RuntimeError, r'move with .to\("cuda:0"\)'),
    "a number in place": (lambda x, y: torch.ones(()).add_(scalar()), RuntimeError, rf"\[add_\] {SAME}"),
    "a mask elsewhere": (lambda x, y: x.masked_select(y > 0), RuntimeError, rf"\[masked_select\] {SAME}"),
    "no cuda device": (lambda x, y: y.cuda("cpu"), RuntimeError, "Invalid device, must be cuda device"),
    "a module's": (lambda x, y: torch.nn.Linear(1, 1).cuda("cpu"), RuntimeError, "Invalid device"),
    "a guard": (lambda x, y: torch.cuda.device("cpu"), ValueError, "Expected a cuda device, but got: cpu"),
    "a stream": (lambda x, y: torch.cuda.Stream("cpu"), ValueError, "Expected a cuda device, but got: cpu"),
    "no stream": (lambda x, y: x.record_stream(5), TypeError, "must be a Stream, not int"),
    "no stream's": (
        lambda x, y: y.record_stream(torch.cuda.current_stream()), NotImplementedError, "on cpu is used by",
    ),
    "no numbers": (lambda x, y: x.to("meta").cuda(), NotImplementedError, "Cannot copy out of meta tensor"),
    "no offset": (lambda x, y: torch.Generator().get_offset(), RuntimeError, "CPU Generator does not use"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name):
    run, kind, told = REFUSED[name]
    with pytest.raises(kind, match=told):
        run(torch.ones(3, device="cuda"), torch.ones(3))


def test_where_a_stream_of_numbers_stands():
    generator = torch.Generator(device="cuda").manual_seed(5)
    drawn = torch.rand(6, device="cuda", generator=generator)
    assert generator.get_offset() == 6
    generator.set_offset(3)
    assert torch.equal(torch.rand(3, device="cuda", generator=generator), drawn[3:])
    assert generator.get_offset() == 6 and generator.initial_seed() == 5


def test_the_numbers_of_a_guard():
    with torch.cuda.device(1):
        guard = torch.cuda.device("cuda")
        assert (guard.idx, guard.prev_idx, torch.cuda.device(None).idx) == (1, -1, -1)
        with torch.cuda.device(0) as entered:
            assert entered is None and torch.cuda.current_device() == 0
        assert torch.cuda.current_device() == 1


def test_properties_as_a_text():
    told = repr(torch.cuda.get_device_properties(0))
    assert "total_memory=8192MB" in told and "L2_cache_size=1MB" in told and "name='Stand-in'" in told
