"""What writing at indices does to memory and to gradients, where the values alone do not tell."""

from __future__ import annotations

import tracemalloc
import warnings

import pytest

import devtensor as torch
from devtensor.autograd import gradcheck, gradgradcheck
from devtensor.core.errors import IndexingError, ShapeError, VersionError

ROWS = torch.tensor([4, 1])
WRITES = {
    "x[rows] = v": lambda x: x.__setitem__(ROWS, torch.ones(2, 3)),
    "x[rows] = 1": lambda x: x.__setitem__(ROWS, 1),
    "x[list] = v": lambda x: x.__setitem__([4, 1], torch.ones(2, 3)),
    "index_put_": lambda x: x.index_put_((ROWS,), torch.ones(2, 3)),
    "index_put_, adding": lambda x: x.index_put_((ROWS,), torch.ones(2, 3), accumulate=True),
    "index_copy_": lambda x: x.index_copy_(0, ROWS, torch.ones(2, 3)),
    "index_add_": lambda x: x.index_add_(0, ROWS, torch.ones(2, 3)),
}
TO_ONE = [[0.0] * 3, [1.0] * 3, [0.0] * 3, [0.0] * 3, [1.0] * 3]


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_is_seen_through_views_and_counted_once(write):
    base = torch.zeros(2, 5, 3)
    x, whole = base[1], base.view(30)
    before = x._version
    write(x)
    assert x.tolist() == TO_ONE
    assert base[0].sum() == 0
    assert whole[15:].view(5, 3).tolist() == TO_ONE
    assert x._version == base._version == before + 1


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_does_not_copy_the_rest(write):
    x = torch.zeros(200_000, 3)
    write(x)
    tracemalloc.start()
    try:
        write(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000, f"{peak} bytes for a write of 24 into a tensor of {x.numel() * 4}"


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_that_spoils_a_saved_value_shows_at_backward(write):
    weight = torch.ones(5, 3, requires_grad=True)
    x = torch.zeros(5, 3)
    made = (weight * x).sum()
    write(x)
    with pytest.raises(VersionError):
        made.backward()


@pytest.mark.parametrize("name", WRITES)
def test_a_target_that_overlaps_itself_is_deprecated_or_refused(name):
    x = torch.zeros(1, 3).expand(5, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in ("index_copy_", "index_add_"):
            with pytest.raises(ShapeError, match="in several places"):
                WRITES[name](x)
            return
        WRITES[name](x)
    assert x.tolist() == [[2.0 if name.endswith("adding") else 1.0] * 3] * 5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int16, torch.bool, torch.complex64])
def test_every_dtype_is_written(dtype):
    x = torch.zeros(3, dtype=dtype)
    x[torch.tensor([2, 0])] = torch.ones(2, dtype=dtype)
    assert x.tolist() == [1, 0, 1]


def test_an_index_out_of_range_changes_nothing():
    x = torch.zeros(3)
    for accumulate in (False, True):
        with pytest.raises(IndexingError, match="out of bounds"):
            x.index_put_((torch.tensor([0, 3]),), torch.ones(2), accumulate=accumulate)
    assert x.tolist() == [0, 0, 0]
    assert x._version == 0


def test_extremes_share_their_gradient_with_all_that_equal_them():
    x = torch.tensor([2.0, 5.0], requires_grad=True)
    src = torch.tensor([2.0, 1.0, 2.0, 5.0], requires_grad=True)
    x.scatter_reduce(0, torch.tensor([0, 0, 0, 1]), src, "amax").sum().backward()
    assert x.grad.tolist() == pytest.approx([1 / 3, 0.5])
    assert src.grad.tolist() == pytest.approx([1 / 3, 0, 1 / 3, 0.5])


def test_a_place_filled_twice_has_one_gradient():
    x, value = torch.zeros(3, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    x.index_fill(0, torch.tensor([1, 1]), value).sum().backward()
    assert x.grad.tolist() == [1, 0, 1]
    assert value.grad == 1


@pytest.mark.parametrize("zeros", [[], [1], [0, 3]])
def test_running_products_with_factors_of_zero_have_gradients(zeros):
    x = torch.tensor([1.5, -2.0, 0.5, 3.0], dtype=torch.float64)
    x[zeros] = 0.0
    x.requires_grad_()
    assert gradcheck(lambda x: torch.cumprod(x, 0), (x,))
    assert gradgradcheck(lambda x: torch.cumprod(x, 0), (x,))


def test_running_logarithms_of_sums_keep_what_is_small():
    x = torch.tensor([-1000.0, -1000.0, 0.0, 1000.0], dtype=torch.float64, requires_grad=True)
    found = torch.logcumsumexp(x, 0)
    assert found.tolist() == pytest.approx([-1000.0, -999.30685, 0.0, 1000.0])
    found[1].backward()
    assert x.grad.tolist() == pytest.approx([0.5, 0.5, 0.0, 0.0])
