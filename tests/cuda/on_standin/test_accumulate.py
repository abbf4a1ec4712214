"""Values added at places that indices name: one launch, in any dtype, and the same bits if that is wanted."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor as torch
from devtensor.core.plan import forget
from devtensor.nn.functional import embedding_bag
from devtensor.ops.index import embedding_grad, index_put
from devtensor_cupy import accumulate
from devtensor_cupy.launching import launcher

pytestmark = pytest.mark.usefixtures("compiler")

HALVES = (torch.float16, torch.bfloat16)
LIMITS = {torch.float64: 1e-12, torch.float32: 3e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}
WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def drawn(shape, dtype, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape)).to(dtype).cuda()


def wide(tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def assert_close(found, wanted, dtype):
    assert found.dtype is dtype and tuple(found.shape) == wanted.shape
    smallest = 2.0**-25 if dtype is torch.float16 else 0.0
    np.testing.assert_allclose(wide(found), wanted, LIMITS[dtype], max(LIMITS[dtype], smallest))


def places(*shape, size, seed=3):
    return torch.tensor(np.random.default_rng(seed).integers(-size, size, shape)).cuda()


def added(x, index, values) -> np.ndarray:
    wanted = wide(x)
    np.add.at(wanted, index, wide(values))
    return wanted


def host(index) -> np.ndarray:
    return index.cpu().numpy()


@pytest.mark.parametrize("dtype", LIMITS)
def test_index_put_of_several_indices_is_one_launch(dtype, launched):
    x, a, b = drawn((4, 3, 5), dtype), places(7, 1, size=4), places(6, size=3, seed=4)
    values = drawn((7, 6, 5), dtype, 1)
    found = x.index_put((a, b), values, accumulate=True)
    assert_close(found, added(x, (host(a), host(b)), values), dtype)
    found = x.index_put((a,), values[0, 0], accumulate=True)
    assert_close(found, added(x, host(a), values[0, 0]), dtype)
    near, far, values = a[:, 0], places(7, size=5), drawn((7, 3), dtype, 2)
    found = index_put(x, values, near, far, places=(0, None, 1), accumulate=True)
    assert_close(found, added(x, (host(near), slice(None), host(far)), values), dtype)
    assert launched == ["add_elements"] * 3


@pytest.mark.parametrize("dtype", LIMITS)
def test_what_adds_along_a_dim_is_one_launch(dtype, launched):
    x, source = drawn((4, 3, 5), dtype), drawn((4, 8, 5), dtype, 1)
    index = places(4, 8, 5, size=3) % 3
    grid = np.indices((4, 8, 5))
    found = x.scatter_add(1, index, source)
    assert launched == ["add_elements"]
    assert_close(found, added(x, (grid[0], host(index), grid[2]), source), dtype)
    part = x.scatter_add(1, index[:2, :, 1:3], source)
    seen = grid[:, :2, :, 1:3] - np.array([0, 0, 1]).reshape(3, 1, 1, 1)
    assert_close(part, added(x, (seen[0], host(index[:2, :, 1:3]), seen[2]), source[:2, :, :2]), dtype)
    line = index[0, :, 0]
    assert_close(x.index_add(1, line, source), added(x, (slice(None), host(line)), source), dtype)


@pytest.mark.parametrize("dtype", HALVES)
def test_halves_are_rounded_once(dtype):
    ones = torch.ones(5000, dtype=dtype, device="cuda")
    index = torch.zeros(5000, dtype=torch.int64, device="cuda")
    start = torch.zeros(1, dtype=dtype, device="cuda")
    wanted = torch.tensor(5000.0).to(dtype).item()
    assert start.scatter_add(0, index, ones).item() == wanted
    assert start.index_add(0, index, ones).item() == wanted
    assert start.index_put((index,), ones, accumulate=True).item() == wanted
    assert embedding_grad(ones[:, None], index, 1).item() == wanted
    assert start.scatter_reduce(0, index, ones, "mean", include_self=False).item() == 1.0


@pytest.mark.parametrize("dtype", WHOLE)
def test_whole_numbers_wrap_around(dtype, launched):
    info = torch.iinfo(dtype)
    values = torch.tensor([info.max, 1, 2, info.min, 5]).to(dtype)
    index, x = torch.tensor([0, 0, 1, 1, -2]), torch.zeros(3, dtype=dtype)
    wanted = x.index_put((index,), values, accumulate=True).tolist()
    assert x.cuda().index_put((index.cuda(),), values.cuda(), accumulate=True).tolist() == wanted
    assert x.cuda().scatter_add(0, index.cuda() % 3, values.cuda()).tolist() == wanted
    assert launched == ["add_elements"] * 2


def test_truths_and_complex_numbers():
    index = torch.tensor([0, 2, 0], device="cuda")
    x, yes = torch.tensor([False, True, False]).cuda(), torch.tensor([True, False, True]).cuda()
    assert x.index_put((index,), yes, accumulate=True).tolist() == [True, True, False]
    z = torch.tensor([1 + 2j, 3 - 1j, 2j]).cuda()
    for found in (z.scatter_add(0, index, z), z.index_put((index,), z, accumulate=True)):
        assert found.tolist() == [2 + 6j, 3 - 1j, 3 + 1j]
    assert embedding_grad(z[:, None], index, 3).tolist() == [[1 + 4j], [0], [3 - 1j]]


def test_places_that_are_not_there_are_left_out():
    x, index = torch.zeros(3, device="cuda"), torch.tensor([0, 3, -4, -1], device="cuda")
    found = x.index_put((index,), torch.ones(4, device="cuda"), accumulate=True)
    assert found.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("dtype", LIMITS)
def test_gradients_of_embeddings(dtype, launched):
    index, g = places(2, 3, size=6) % 6, drawn((2, 3, 4), dtype)
    found = embedding_grad(g, index, 6)
    assert launched == ["add_elements"]
    assert_close(found, added(torch.zeros(6, 4), host(index), g), dtype)
    one = embedding_grad(g[0, 0], torch.tensor(1, device="cuda"), 3)
    assert_close(one, np.stack([np.zeros(4), wide(g[0, 0]), np.zeros(4)]), dtype)


def test_bags_and_weighted_counts(launched):
    table, index = drawn((7, 3), torch.float16), places(10, size=7) % 7
    offsets = torch.tensor([0, 3, 3, 8], device="cuda")
    found = embedding_bag(index, table, offsets, mode="sum")
    rows = np.split(wide(table)[host(index)], [3, 3, 8])
    assert_close(found, np.stack([part.sum(0) for part in rows]), torch.float16)
    weights = drawn((10,), torch.float64, 2)
    wanted = np.bincount(host(index), wide(weights), 7)
    np.testing.assert_allclose(wide(torch.bincount(index, weights, 7)), wanted, 1e-12)
    assert launched == ["add_elements"] * 2


def test_what_does_not_lie_in_rows():
    x, values = drawn((4, 6), torch.float32)[:, ::2], drawn((3, 9), torch.float32, 1).T[::2]
    index = places(5, 2, size=4)[:, 0]
    assert_close(x.index_put((index,), values, accumulate=True), added(x, host(index), values), torch.float32)
    column = index[:, None].expand(5, 3) % 4
    grid = np.broadcast_to(np.arange(3), (5, 3))
    assert_close(x.scatter_add(0, column, values), added(x, (host(column), grid), values), torch.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int64])
def test_more_indices_than_a_kernel_takes(dtype, launched):
    x = torch.zeros((2,) * 8, dtype=dtype, device="cuda")
    indices = tuple(places(9, size=2, seed=k) for k in range(8))
    found = x.index_put(indices, torch.ones(9, dtype=dtype, device="cuda"), accumulate=True)
    wanted = np.zeros(x.shape)
    np.add.at(wanted, tuple(map(host, indices)), 1)
    assert launched == [] and found.tolist() == wanted.tolist()


def test_numbers_without_dims_beside_ones_with_one():
    x, one = torch.tensor([1.0, 2.0], device="cuda"), torch.tensor(1, device="cuda")
    five = torch.tensor(5.0, device="cuda")
    assert x.scatter_add(0, one, five).tolist() == [1.0, 7.0]
    assert x.scatter_add(0, one[None], five).tolist() == [1.0, 7.0]
    assert five.scatter_add(0, one[None] * 0, x[:1]).tolist() == 6.0


def test_nothing_to_add_launches_nothing(launched):
    x, none = drawn((4, 3), torch.float16), torch.zeros(0, dtype=torch.int64, device="cuda")
    empty = drawn((0, 3), torch.float16)
    for found in (x.index_put((none,), empty, accumulate=True), x.index_add(0, none, empty)):
        assert found.tolist() == x.tolist()
    assert embedding_grad(empty, none, 2).tolist() == [[0.0] * 3] * 2
    assert launched == []


@pytest.fixture
def in_order():
    """Sums whose bits are the same every time."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("dtype", LIMITS)
def test_the_same_bits_every_time_are_those_of_one_after_the_other(dtype, in_order, launched):
    x, index, values = drawn((5, 2), dtype), places(200, size=5), drawn((200, 2), dtype, 1)
    found = x.index_put((index,), values, accumulate=True)
    sums = x.cpu().numpy() if dtype not in HALVES else x.cpu().float().numpy()
    np.add.at(sums, host(index), values.to(found.dtype).cpu().to(torch.tensor(sums).dtype).numpy())
    assert torch.equal(found.cpu(), torch.tensor(sums).to(dtype))
    assert launched == ["find", "add_sorted"]
    numbers = torch.arange(4, device="cuda").index_add(0, index % 4, torch.ones_like(index))
    assert numbers.sum().item() == 206 and launched[2:] == ["add_elements"]


def test_without_a_compiler_cupy_adds(monkeypatch, launched):
    monkeypatch.setattr(launcher, "kernels", lambda entry: None)
    forget("cuda")
    for dtype in (*LIMITS, *WHOLE, torch.bool, torch.complex64):
        x, values = (torch.tensor([[2, 1], [0, 3], [1, 0]]).to(dtype).cuda() for _ in "xy")
        index, column = torch.tensor([0, 2, 0]).cuda(), torch.tensor([[1, 1], [0, 2], [1, 0]]).cuda()
        found = [
            x.index_put((index,), values, accumulate=True), x.scatter_add(0, column, values),
            embedding_grad(values, index, 3),
        ]  # fmt: skip
        host = [
            x.cpu().index_put((index.cpu(),), values.cpu(), accumulate=True),
            x.cpu().scatter_add(0, column.cpu(), values.cpu()),
            embedding_grad(values.cpu(), index.cpu(), 3),
        ]
        assert [each.tolist() for each in found] == [each.tolist() for each in host]
    assert launched == []
    monkeypatch.undo()
    forget("cuda")


def several_indices():
    x, a, b = drawn((4, 3), torch.float32), places(40, size=4), places(40, size=3, seed=4)
    values = drawn((40,), torch.float32, 1)
    found = x.index_put((a, b), values, accumulate=True)
    assert_close(found, added(x, (host(a), host(b)), values), torch.float32)


def along_rows():
    x, source, index = drawn((2, 3), torch.float16), drawn((2, 4), torch.float16, 1), places(2, 4, size=3) % 3
    wanted = added(x, (np.indices((2, 4))[0], host(index)), source)
    assert_close(x.scatter_add(1, index, source), wanted, torch.float16)


FAULTS = {
    "nothing is added": ("add_by_atomics", lambda *given: None, several_indices),
    "steps are forgotten": ("steps_of", lambda array: (0,) * array.ndim, several_indices),
    "every place is the first": ("in_int64", lambda index: index * 0, several_indices),
    "values go another way": ("fitting", lambda values, target: -values, along_rows),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name, reddens):
    reddens(accumulate, *FAULTS[name])
