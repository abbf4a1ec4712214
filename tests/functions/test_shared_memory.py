"""Memory that a call both reads and writes, that grows, or of which a view holds nothing."""

from __future__ import annotations

import warnings

import pytest

import devtensor as torch

AT = torch.tensor([0, 1, 2])
WRITES = {
    "scatter_": lambda x: x.scatter_(0, AT, x),
    "scatter_add_": lambda x: x.scatter_add_(0, AT, x),
    "scatter_reduce_": lambda x: x.scatter_reduce_(0, AT, x, "amax"),
    "index_add_": lambda x: x.index_add_(0, AT, x),
    "index_copy_": lambda x: x.index_copy_(0, AT, x),
    "index_put_": lambda x: x.index_put_((AT,), x),
    "put_": lambda x: x.put_(AT, x),
    "setitem": lambda x: x.__setitem__(AT, x),
    "view": lambda x: x.scatter_(0, AT, x.view(3)),
    "index_select": lambda x: torch.index_select(x, 0, AT, out=x),
    "gather": lambda x: torch.gather(x, 0, AT, out=x),
    "stack": lambda x: torch.stack(list(x), out=x),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_what_is_written_in_an_order_of_its_own_is_not_read(write):
    x = torch.tensor([1.0, 2.0, 3.0])
    with pytest.raises(RuntimeError, match="at one place in memory"):
        write(x)
    assert x.tolist() == [1, 2, 3]


def test_a_view_of_nothing_grows_within_its_storage():
    x = torch.zeros(1, 5)
    nothing = x[:-1, 4:]
    nothing.resize_(3).fill_(7)
    assert x.flatten().tolist() == [7, 7, 7, 0, 0]
    seen = torch.arange(10.0).reshape(2, 5)[:0, 4:].as_strided((5,), (1,), 0)
    assert seen.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError, match="out of bounds"):
        torch.arange(10.0).reshape(2, 5)[:0, 4:].as_strided((11,), (1,), 0)


def test_memory_read_as_another_dtype_does_not_grow():
    x = torch.zeros(2)
    bits = x.view(torch.int32)
    with pytest.raises(RuntimeError, match="another dtype"):
        x.resize_(8)
    assert bits.tolist() == [0, 0]


def test_what_data_gave_keeps_the_old_memory_when_it_grows():
    x = torch.tensor([1.0, 2.0])
    data = x.data
    x.resize_(4)
    assert data.tolist() == [1, 2] and data.storage_offset() == 0
    x[0] = 5
    assert data.tolist() == [1, 2]


@pytest.mark.parametrize("write", [lambda z: z.real.mul_(2), lambda z: torch.view_as_real(z)[..., 0].mul_(2)])
def test_gradients_go_through_writes_into_the_parts_of_complex_numbers(write):
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    z = x * (1 + 2j)
    write(z)
    (z.abs() ** 2).sum().backward()
    # |2x + 2xi|^2 = 8 x^2
    assert x.grad.tolist() == [16, 32]


def test_complex_numbers_of_two_parts_are_written_like_any_result():
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    z = torch.complex(x, x)
    z.mul_(2)
    (z.real**2).sum().backward()
    assert x.grad.tolist() == [8, 16]


def test_views_made_under_no_grad_take_no_gradient_for_one_another():
    x = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        one, other = x.view(2), x.view(1, 2)
    assert torch.autograd.grad((one * one).sum(), other, allow_unused=True) == (None,)
    with pytest.raises(RuntimeError, match="does not require grad"):
        one.backward(torch.ones(2))


def test_a_turned_number_can_be_written_to():
    x = torch.tensor(2.0).flip(0)
    x[...] = 3
    assert x.item() == 3


def test_a_result_that_makes_room_lies_as_it_would_alone():
    x = torch.arange(6.0).reshape(2, 3).T
    out = torch.empty(0)
    torch.add(x, 1, out=out)
    assert out.stride() == (x + 1).stride() == (1, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.add(x, 1, out=out)


def test_out_decides_the_dtype_of_a_sum():
    x = torch.tensor([1.7, 1.7])
    assert torch.sum(x, 0, out=torch.empty((), dtype=torch.int64)).item() == 2
    assert torch.cumsum(x, 0, out=torch.empty(2, dtype=torch.int64)).tolist() == [1, 2]


@pytest.mark.parametrize("name", ["mm", "cross", "clamp", "round", "where", "det"])
def test_out_has_the_dtype_of_the_result(name):
    x, out = torch.ones(3, 3), torch.empty(0, dtype=torch.float64)
    calls = {
        "mm": lambda: torch.mm(x, x, out=out),
        "cross": lambda: torch.cross(x, x, 0, out=out),
        "clamp": lambda: torch.clamp(x, 0, 1, out=out),
        "round": lambda: torch.round(x, out=out),
        "where": lambda: torch.where(x > 0, x, x, out=out),
        "det": lambda: torch.linalg.det(x, out=out),
    }
    with pytest.raises(RuntimeError, match="expected out to have dtype float32"):
        calls[name]()
