"""What CuPy does otherwise than NumPy: half products, atomics, complex truths, equations, waiting."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import devtensor as torch
from devtensor.core.op import OPS
from devtensor.graph import capture
from devtensor_cupy.products import batch_stride

HALVES = (torch.float16, torch.bfloat16)
PRODUCTS = {
    "plain": ((3, 4, 5), (3, 5, 6), None),
    "broadcast": ((2, 1, 4, 5), (3, 5, 6), None),
    "one matrix": ((3, 4, 5), (5, 6), None),
    "left is one": ((4, 5), (3, 5, 6), None),
    "transposed": ((3, 5, 4), (3, 6, 5), lambda x: x.transpose(-1, -2)),
    "heads": ((2, 4, 3, 5), (2, 5, 3, 6), lambda x: x.transpose(1, 2)),
    "every other": ((6, 4, 5), (6, 5, 6), lambda x: x[::2]),
    "backwards": ((3, 4, 5), (3, 5, 6), lambda x: x.flip(0)),
    "every other column": ((3, 4, 5), (3, 5, 6), lambda x: x.repeat_interleave(2, -1)[..., ::2]),
    "three dims of batches": ((2, 2, 2, 4, 5), (2, 2, 2, 5, 6), lambda x: x.transpose(0, 1)),
    "one row": ((3, 1, 5), (3, 5, 1), None),
    "empty batch": ((0, 4, 5), (0, 5, 6), None),
    "nothing inside": ((3, 4, 0), (3, 0, 6), None),
}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", PRODUCTS)
def test_batched_half_products(name, dtype):
    left, right, view = PRODUCTS[name]
    rng = np.random.default_rng(0)
    a, b = (torch.tensor(rng.normal(size=shape)).to(dtype).cuda() for shape in (left, right))
    a, b = (a, b) if view is None else (view(a), view(b))
    expected = np.matmul(*(x.cpu().double().numpy() for x in (a, b)))
    found = a @ b
    assert found.dtype is dtype and found.shape == expected.shape
    limit = 1e-3 if dtype is torch.float16 else 8e-3
    np.testing.assert_allclose(found.cpu().double().numpy(), expected, rtol=limit, atol=limit)


def test_half_products_copy_no_transposed_operand(counts):
    a, b = (torch.ones(4, 8, 8, dtype=torch.bfloat16, device="cuda") for _ in range(2))
    counts.clear()
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    a.transpose(1, 2) @ b.transpose(1, 2)
    assert torch.cuda.memory_stats()["allocation.all.allocated"] - before == 1
    assert counts["synchronisations"] == 0


def test_half_products_are_summed_in_float32():
    a = torch.ones(2, 1, 4096, dtype=torch.float16, device="cuda")
    assert (a @ a.transpose(1, 2)).flatten().tolist() == [4096.0] * 2
    tiny = torch.full((2, 1, 4096), 1e-4, dtype=torch.bfloat16, device="cuda")
    total = (torch.ones_like(tiny) @ tiny.transpose(1, 2)).flatten()
    np.testing.assert_allclose(total.cpu().double().numpy(), 0.4096, rtol=1e-2)


DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "float16", "bfloat16",
          "float32", "float64", "complex64", "complex128")  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_adding_at_indices_in_every_dtype(dtype):
    values = torch.tensor([1, 2, 1, 1]).to(getattr(torch, dtype))
    index = torch.tensor([0, 2, 0, 2])
    expected = torch.zeros(3, dtype=values.dtype).index_put((index,), values, accumulate=True)
    found = torch.zeros(3, dtype=values.dtype, device="cuda")
    found = found.index_put((index.cuda(),), values.cuda(), accumulate=True)
    assert found.dtype is expected.dtype and torch.equal(found.cpu(), expected)


def test_truths_of_complex_numbers():
    x, y = torch.tensor([0, 1j, 2, 0]), torch.tensor([0, 0, 1, 3j])
    for name in ("logical_and", "logical_or", "logical_xor"):
        function = getattr(torch, name)
        assert torch.equal(function(x.cuda(), y.cuda()).cpu(), function(x, y))
    assert torch.logical_not(x.cuda()).tolist() == [True, False, False, True]


def test_equations_with_batches_that_differ():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 3)), rng.normal(size=(4, 3, 2))
    found = torch.linalg.solve(torch.tensor(a).cuda(), torch.tensor(b).cuda())
    np.testing.assert_allclose(found.cpu().numpy(), np.linalg.solve(a, b), rtol=1e-9)


def test_random_numbers_are_the_cpu_s():
    for draw in (torch.rand, torch.randn):
        torch.manual_seed(3)
        here = draw(5)
        torch.manual_seed(3)
        assert torch.equal(draw(5, device="cuda").cpu(), here)


def test_each_device_has_its_own_random_state():
    torch.manual_seed(3)
    state = torch.cuda.get_rng_state(1)
    first = torch.rand(3, device="cuda:1").tolist()
    torch.rand(7, device="cuda:0")
    torch.cuda.set_rng_state(state, 1)
    assert torch.rand(3, device="cuda:1").tolist() == first
    with torch.random.fork_rng(devices=[0, 1]):
        torch.rand(3, device="cuda:1")
    states = torch.cuda.get_rng_state_all()
    torch.cuda.set_rng_state_all(states)
    assert len(states) == 2 and torch.equal(torch.cuda.get_rng_state(0), states[0])


def test_a_training_step_waits_for_nothing(counts):
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 4)).cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    x, y = torch.randn(5, 8, device="cuda"), torch.randint(4, (5,), device="cuda")

    def step():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    step()
    counts.clear()
    step()
    assert counts["launches"] > 20 and counts["synchronisations"] == 0


def test_every_op_without_a_body_has_a_kernel():
    cuda = torch.device("cuda:0").backend
    assert cuda.kernels.keys() >= {name for name, op in OPS.items() if not op.composite}
    assert cuda.out_kernels <= cuda.kernels.keys()


@pytest.mark.parametrize("dtype", HALVES)
def test_half_types_are_moved_and_computed(dtype):
    x = torch.tensor([[1.5, -2.0, 0.0], [4.0, 0.25, -8.0]]).to(dtype)
    y = x.cuda()
    for run in (
        lambda x: torch.where(x > 0, x, -x), lambda x: x.tril(), lambda x: x.cumsum(1),
        lambda x: x.sort(1)[1],
        lambda x: torch.logical_and(x, x), lambda x: x.any(1), lambda x: x.nonzero(), lambda x: x.sum(0),
        lambda x: x.gather(1, torch.tensor([[0], [2]], device=x.device)), lambda x: x @ x.T,
    ):  # fmt: skip
        assert torch.equal(run(y).cpu(), run(x))


def test_a_replay_lays_out_its_results_as_eager_code_does():
    captured = capture(torch.abs)
    for _ in range(4):
        x = torch.randn(4, device="cuda").expand(3, 4)
        assert captured(x).stride() == x.abs().stride() == (4, 1)
    assert captured.replays


BATCHES = {
    "in rows": ((2, 3, 4, 5), (60, 20, 5, 1), 20),
    "gaps between": ((2, 3, 4, 5), (90, 30, 5, 1), 30),
    "gaps between some": ((2, 3, 4, 5), (90, 20, 5, 1), None),
    "the same ones again": ((2, 3, 4, 5), (20, 20, 5, 1), None),
    "one repeated": ((2, 3, 4, 5), (0, 0, 5, 1), 0),
    "each repeated": ((2, 3, 4, 5), (20, 0, 5, 1), None),
    "a size of one": ((2, 1, 4, 5), (20, 7, 5, 1), 20),
    "backwards": ((2, 4, 5), (-20, 5, 1), None),
}


@pytest.mark.parametrize("name", BATCHES)
def test_the_step_of_a_batch(name):
    shape, steps, wanted = BATCHES[name]
    dtype = np.dtype("float16")
    array = SimpleNamespace(shape=shape, dtype=dtype, strides=[step * dtype.itemsize for step in steps])
    assert batch_stride(array) == wanted
