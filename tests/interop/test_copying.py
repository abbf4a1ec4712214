"""Pickling, copies, the handle `data`, and PyTorch's older constructors."""

from __future__ import annotations

import copy
import pickle

import pytest

import devtensor as torch
from devtensor.core.errors import ArgumentTypeError, AutogradError


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64]
)
def test_pickling(dtype, device):
    x = torch.tensor([[0, 1], [1, 0]], device=device).to(dtype)
    twin = pickle.loads(pickle.dumps(x))
    assert torch.equal(twin, x)
    assert twin.device is x.device
    assert twin.data_ptr() != x.data_ptr()


def test_pickling_keeps_what_was_asked_and_attributes():
    x = torch.ones(2, requires_grad=True)
    x.note = "kept"
    twin = pickle.loads(pickle.dumps(x))
    assert twin.requires_grad
    assert twin.is_leaf
    assert twin.note == "kept"
    computed = pickle.loads(pickle.dumps(x * 2))
    assert computed.is_leaf
    assert computed.requires_grad


def test_pickling_of_views_takes_their_part():
    x = torch.arange(6).reshape(2, 3)
    assert pickle.loads(pickle.dumps(x.T)).tolist() == x.T.tolist()
    assert pickle.loads(pickle.dumps(x.T)).stride() == (1, 3)
    assert pickle.loads(pickle.dumps(x[:, 1])).tolist() == [1, 4]


def test_deepcopy():
    x = torch.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    first, second = copy.deepcopy([x, x])
    assert first is second
    assert first.requires_grad
    assert first.grad.tolist() == [3, 3]
    first.grad.zero_()
    assert x.grad.tolist() == [3, 3]
    with pytest.raises(AutogradError, match="Only Tensors created explicitly"):
        copy.deepcopy(x * 2)


def test_shallow_copies_share():
    x = torch.zeros(2)
    twin = copy.copy(x)
    twin[0] = 1
    assert x[0] == 1


def test_as_subclass():
    class Marked(torch.Tensor):
        pass

    x = torch.ones(2, requires_grad=True)
    marked = x.as_subclass(Marked)
    assert type(marked) is Marked
    assert repr(marked.detach().as_subclass(Marked)) == "Marked([1., 1.])"
    marked.sum().backward()
    assert x.grad.tolist() == [1, 1]
    with pytest.raises(ArgumentTypeError, match="does not inherit from Tensor"):
        x.as_subclass(int)


def test_data_is_a_handle_without_history():
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    y.data[0] = 9
    assert y[0] == 9
    assert not x.data.requires_grad
    x.data = torch.zeros(2, dtype=torch.float64)
    assert x.shape == (2,)
    assert x.dtype is torch.float64
    assert x.requires_grad
    with pytest.raises(ArgumentTypeError, match="has to be a tensor"):
        x.data = [1]


def test_dtypes_and_devices_are_single():
    for thing in (torch.float32, torch.device("cpu"), torch.strided, torch.contiguous_format):
        assert pickle.loads(pickle.dumps(thing)) is thing
        assert copy.deepcopy(thing) is thing


def test_legacy_constructors():
    assert torch.Tensor(2, 3).shape == (2, 3)
    assert torch.Tensor([1, 2]).dtype is torch.float32
    assert torch.Tensor().shape == (0,)
    assert torch.LongTensor([1, 2]).dtype is torch.int64
    assert torch.FloatTensor(2).tolist() == [0, 0]
    assert torch.Tensor(torch.Size([2, 1])).shape == (2, 1)
    assert isinstance(torch.zeros(1), torch.FloatTensor)
    assert not isinstance(torch.zeros(1), torch.LongTensor)
    assert torch.zeros(1).type() == "devtensor.FloatTensor"
    assert torch.zeros(1).type("torch.DoubleTensor").dtype is torch.float64
    assert torch.zeros(1).type(torch.LongTensor).dtype is torch.int64
    assert torch.ones(2).new(3).shape == (3,)
    with pytest.raises(ArgumentTypeError, match="sizes or one sequence"):
        torch.Tensor(1.5)


def test_parameters_are_constructed_by_themselves():
    parameter = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    assert parameter.tolist() == [1, 1]
    assert not parameter.requires_grad
