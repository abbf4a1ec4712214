"""Where elements lie: strides, memory formats, views by hand, memory that grows, results in `out`."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest

import devtensor as torch
from devtensor.autograd import gradcheck
from devtensor.testing import to_numpy

# View -> the strides that PyTorch documents for it, of a row-major (2, 3, 4).
STRIDES = {
    "unsqueeze front": (lambda x: x.unsqueeze(0), (24, 12, 4, 1)),
    "unsqueeze back": (lambda x: x.unsqueeze(-1), (12, 4, 1, 1)),
    "None between": (lambda x: x[:, None, ::2], (12, 12, 8, 1)),
    "expand in front": (lambda x: x.expand(1, 2, 3, 4), (24, 12, 4, 1)),
    "expand to more": (lambda x: x[:1].expand(5, 3, 4), (0, 4, 1)),
    "narrow": (lambda x: x.narrow(1, 1, 1), (12, 4, 1)),
    "transpose": (lambda x: x.transpose(0, 2), (1, 4, 12)),
    "diagonal": (lambda x: x.diagonal(0, 1, 2), (12, 5)),
    "unfold": (lambda x: x.unfold(2, 2, 2), (12, 4, 2, 1)),
    "view of a slice": (lambda x: x[:, :, :2].view(6, 2), (4, 1)),
    "flatten of a transpose": (lambda x: x.transpose(1, 2).flatten(), (1,)),
}


@pytest.mark.parametrize("name", STRIDES)
def test_views_have_the_strides_that_scripts_expect(name):
    change, wanted = STRIDES[name]
    assert change(torch.zeros(2, 3, 4)).stride() == wanted


def test_copies_and_results_keep_the_layout_of_what_they_are_made_from():
    x = torch.arange(6.0).view(2, 3)
    turned, wide = x.t(), x.expand(4, 2, 3)
    assert turned.clone().stride() == (1, 3) and turned.contiguous().stride() == (2, 1)
    assert torch.zeros_like(turned).stride() == (1, 3) and turned.double().stride() == (1, 3)
    assert x[:, ::2].clone().stride() == (2, 1) and wide.clone().stride() == (6, 3, 1)
    assert (turned + torch.ones(3, 2)).stride() == (1, 3) and (torch.ones(3, 2) + turned).stride() == (2, 1)
    assert (turned * 2.0).stride() == (1, 3) and turned.clone(
        memory_format=torch.contiguous_format
    ).is_contiguous()
    assert torch.empty_strided((2, 3), (1, 2)).stride() == (1, 2)


def test_memory_formats():
    x = torch.arange(120.0).view(2, 3, 4, 5)
    last = x.to(memory_format=torch.channels_last)
    assert last.stride() == (60, 1, 15, 3) and last.is_contiguous(memory_format=torch.channels_last)
    assert not last.is_contiguous() and np.array_equal(to_numpy(last), to_numpy(x))
    for made in (
        last.clone(),
        last * 2,
        last.relu(),
        torch.empty_like(last),
        last + last.sum(1, keepdim=True),
    ):
        assert made.stride() == last.stride()
    assert last.contiguous(memory_format=torch.channels_last) is last and last.contiguous().is_contiguous()
    with pytest.raises(RuntimeError, match="rank 4"):
        torch.ones(3).contiguous(memory_format=torch.channels_last)
    with pytest.raises(TypeError, match="memory_format"):
        x.clone(memory_format="channels_last")


def test_as_strided_sees_the_storage_from_anywhere():
    x = torch.arange(12.0)
    part = x[4:].view(2, 4)
    assert part.as_strided((3, 2), (1, 2)).tolist() == [[4.0, 6.0], [5.0, 7.0], [6.0, 8.0]]
    assert (
        part.as_strided((2,), (3,), 0).tolist() == [0.0, 3.0]
        and part.as_strided((2,), (3,), 0).storage_offset() == 0
    )
    view = part[1].as_strided((2, 2), (1, 1), 2)
    assert view._base is x and view.is_set_to(x.as_strided((2, 2), (1, 1), 2))
    x.mul_(2)
    assert view.tolist() == [[4.0, 6.0], [6.0, 8.0]]
    for size, stride, offset in (((4,), (4,), 0), ((2,), (-1,), 3), ((2,), (1, 1), 0), ((1,), (1,), 12)):
        with pytest.raises(RuntimeError, match="as_strided"):
            x.as_strided(size, stride, offset)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.as_strided((3, 2), (1, 1)).sin(),
        lambda x: x.t().as_strided((2, 2), (3, 1), 1).exp(),
        lambda x: x[1].expand(2, 3).as_strided((2, 3), (0, 1)).sin(),
        lambda x: torch.as_strided_scatter(x, x[0, :2] ** 2, (2,), (2,), 1),
        lambda x: torch.slice_scatter(x, x[:, :1].sin(), 1, 1, 3, 2),
        lambda x: torch.select_scatter(x, x[0] ** 2, 0, 1),
        lambda x: (x * 1).as_strided_((2, 2), (2, 1)).exp(),
    ],
)
def test_derivatives_through_views_by_hand(function):
    x = torch.tensor(np.random.default_rng(0).normal(size=(2, 3)), requires_grad=True)
    assert gradcheck(function, (x,))


def test_a_write_through_a_strided_view_reaches_the_base():
    x = torch.arange(6.0, requires_grad=True)
    y = x * 1
    y.as_strided((2,), (2,), 1).mul_(3)
    (y * y).sum().backward()
    assert y.tolist() == [0.0, 3.0, 2.0, 9.0, 4.0, 5.0] and x.grad.tolist() == [
        0.0,
        18.0,
        4.0,
        54.0,
        8.0,
        10.0,
    ]


def test_bits_read_as_another_dtype():
    x = torch.tensor([[1.0, -2.0], [0.5, 0.0]])
    assert x.view(torch.int32).tolist() == to_numpy(x).view(np.int32).tolist()
    small, large = x.view(torch.uint8), x.view(torch.float64)
    assert small.shape == (2, 8) and large.shape == (2, 1) and small._base is None
    small[0].zero_()
    assert x.tolist() == [[0.0, 0.0], [0.5, 0.0]] and x._version == 1
    assert not torch.ones(2, requires_grad=True).view(torch.int32).requires_grad
    for bad in (x.t(), x[:, 1:], torch.tensor(1.0)):
        with pytest.raises(RuntimeError, match="element sizes"):
            bad.view(torch.float64)


def test_resizing_keeps_the_data_and_what_shares_it():
    x = torch.arange(4.0)
    view = x[1:3]
    assert x.resize_(2, 3) is x and x.flatten()[:4].tolist() == [0.0, 1.0, 2.0, 3.0] and x._version == 1
    view.fill_(7)
    assert x.flatten()[:4].tolist() == [0.0, 7.0, 7.0, 3.0]
    assert x.resize_(2).tolist() == [0.0, 7.0] and x.resize_as_(torch.ones(2, 2)).tolist() == [
        [0.0, 7.0],
        [7.0, 3.0],
    ]
    with pytest.raises(RuntimeError, match="require grad"):
        torch.ones(2, requires_grad=True).resize_(3)


def test_set_makes_an_object_see_other_memory():
    x, y = torch.zeros(2), torch.arange(6.0)
    assert x.set_(y).is_set_to(y) and x._version == 1
    x.fill_(5)
    assert y.tolist() == [5.0] * 6 and y._version == 0 and x._version == 2
    assert x.set_(y, 1, (2, 2), (2, 1)).stride() == (2, 1) and x.storage_offset() == 1
    assert x.set_().shape == (0,)
    with pytest.raises(RuntimeError, match="dtype"):
        x.set_(torch.ones(2, dtype=torch.int64))


def test_data_counts_its_own_versions_and_detach_shares_them():
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    y.data.zero_()
    assert y._version == 0 and y.tolist() == [0.0] * 3
    y.detach().fill_(1)
    assert y._version == 1
    loss = (y * y).sum()
    y.data.mul_(2)
    loss.backward()
    loss = (y * y).sum()
    y.detach().mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_deepcopy_keeps_what_is_shared():
    x = torch.arange(6.0).view(2, 3)
    one, other, again = copy.deepcopy([x, x[1:, 1:], x])
    other.fill_(9)
    assert one.tolist() == [[0.0, 1.0, 2.0], [3.0, 9.0, 9.0]] and again is one and x[1, 1] == 4
    assert other.stride() == (3, 1) and other.storage_offset() == 4


def test_several_views_made_at_once_are_not_written_under_autograd():
    base = torch.ones(4, requires_grad=True) * 1
    for parts in (base.unbind(), base.split(2), base.chunk(2), iter(base), base.split([1, 3])):
        part = next(iter(parts))
        with pytest.raises(RuntimeError, match="multiple views"):
            part.mul_(2)
    base.tensor_split(2)[0].mul_(2)
    parts = torch.ones(4).unbind()
    parts[0].mul_(2)
    parts = base.unbind()
    base.mul_(2)
    with pytest.raises(RuntimeError, match="multiple views"):
        _ = parts[0].grad_fn
    assert "Invalid" in repr(parts[0])


def test_memory_read_and_written_at_different_places_is_refused():
    x = torch.arange(9.0).view(3, 3)
    for write in (
        lambda: x.add_(x.t()),
        lambda: x[1:].copy_(x[:-1]),
        lambda: x.view(9)[1:].mul_(x.view(9)[:-1]),
        lambda: torch.mul(x.t(), 2, out=x),
        lambda: torch.exp(x.view(9)[:-1], out=x.view(9)[1:]),
    ):
        before = x.clone()
        with pytest.raises(RuntimeError, match="one place in memory"):
            write()
        assert torch.equal(before, x)
    x.add_(x)
    x[0].add_(x[1])
    assert x[0].tolist() == [6.0, 10.0, 14.0]


def test_out_takes_the_result():
    x = torch.tensor([1.0, 4.0])
    out = torch.zeros(2)
    assert torch.sqrt(x, out=out) is out and out.tolist() == [1.0, 2.0] and out._version == 1
    assert torch.exp(x, out=torch.empty(0)).shape == (2,)
    with pytest.warns(UserWarning, match="resized"):
        assert torch.add(x, x, out=torch.zeros(3, 3)).tolist() == [2.0, 8.0]
    wide = torch.zeros(2, dtype=torch.float64)
    assert torch.mul(x, 2, out=wide).tolist() == [2.0, 8.0]
    values, places = torch.empty(0), torch.empty(0, dtype=torch.int64)
    found = torch.sort(torch.tensor([3.0, 1.0]), out=(values, places))
    assert values.tolist() == [1.0, 3.0] and places.tolist() == [1, 0] and found.indices is places


def test_out_is_refused_where_it_cannot_serve():
    x, leaf = torch.ones(2), torch.ones(2, requires_grad=True)
    cases = (
        (lambda: torch.add(leaf, 1, out=torch.empty(2)), RuntimeError, "automatic differentiation"),
        (lambda: torch.add(x, 1, out=leaf), RuntimeError, "automatic differentiation"),
        (lambda: torch.exp(x, out=torch.empty(2, dtype=torch.int64)), RuntimeError, "can't be cast"),
        (lambda: torch.exp(x, out=torch.zeros(1).expand(2)), RuntimeError, "several places"),
        (lambda: torch.exp(x, out=3), TypeError, "must be a Tensor"),
    )
    for action, error, text in cases:
        with pytest.raises(error, match=text), warnings.catch_warnings():
            action()
    with torch.no_grad():
        assert torch.add(leaf, 1, out=leaf).tolist() == [2.0, 2.0] and leaf.is_leaf


def test_fill_reaches_elements_that_stand_in_several_places():
    wide = torch.zeros(1).expand(3)
    assert wide.fill_(2).tolist() == [2.0] * 3 and wide.zero_().tolist() == [0.0] * 3
    with pytest.raises(RuntimeError, match="several places"):
        wide.copy_(torch.ones(3))
    with pytest.raises(RuntimeError, match="several places"):
        wide[...] = 2.0


def test_views_of_a_base_that_was_transposed_in_place_go_on():
    x = torch.arange(6.0, requires_grad=True)
    base = (x * 1).view(2, 3) * 1
    row = base[0]
    base.t_()
    row.mul_(3)
    (base * base).sum().backward()
    assert base.tolist() == [[0.0, 3.0], [3.0, 4.0], [6.0, 5.0]]
    assert x.grad.tolist() == [0.0, 18.0, 36.0, 6.0, 8.0, 10.0]
