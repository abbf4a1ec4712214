"""PyTorch's older constructors, in all their forms."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor as torch

DTYPES = {
    "Tensor": torch.float32, "FloatTensor": torch.float32, "DoubleTensor": torch.float64, "HalfTensor":
    torch.float16, "BFloat16Tensor": torch.bfloat16, "ByteTensor": torch.uint8, "CharTensor": torch.int8,
    "ShortTensor": torch.int16, "IntTensor": torch.int32, "LongTensor": torch.int64, "BoolTensor": torch.bool,
}  # fmt: skip

# What the constructors are called with -> the shape, or the numbers, that come.
FORMS = [
    ((), (0,)),
    ((3,), (3,)),
    ((2, 3), (2, 3)),
    ((torch.Size([2, 3]),), (2, 3)),
    ((np.int64(2), np.int64(3)), (2, 3)),
    ((torch.tensor(2), torch.tensor(3)), (2, 3)),
    (([1, 0],), [1, 0]),
    (((1, 0),), [1, 0]),
    (([[1, 0], [1, 1]],), [[1, 0], [1, 1]]),
    ((range(2),), [0, 1]),
    (([],), []),
    ((np.array([1.0, 0.0]),), [1, 0]),
    (([True, False],), [1, 0]),
]
REFUSED = [(2.5,), (True,), ("a",), (None,), (2, [3]), ({1},), (iter([1]),), ([1, [2]],)]


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize(("arguments", "expected"), FORMS)
def test_sizes_make_room_and_sequences_give_numbers(name, arguments, expected):
    made = getattr(torch, name)(*arguments)
    assert type(made) is torch.Tensor and made.dtype is DTYPES[name] and made.is_leaf
    assert (tuple(made.shape) if isinstance(expected, tuple) else made.tolist()) == expected


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("arguments", REFUSED)
def test_anything_else_is_refused(name, arguments):
    with pytest.raises(TypeError):
        getattr(torch, name)(*arguments)


@pytest.mark.parametrize("name", DTYPES)
def test_bad_sizes_devices_and_keywords(name):
    constructor = getattr(torch, name)
    for error, call in [
        (RuntimeError, lambda: constructor(-1)),
        (RuntimeError, lambda: constructor(2, -3)),
        (ValueError, lambda: constructor([[1, 2], [3]])),
        (RuntimeError, lambda: constructor(2, device="meta")),
        (TypeError, lambda: constructor(2, requires_grad=True)),
        (TypeError, lambda: constructor([1], dtype=torch.int64)),
    ]:
        with pytest.raises(error):
            call()
    assert constructor(2, device="cpu").shape == constructor(size=(2,)).shape == (2,)
    assert constructor(data=[1]).tolist() == [1]


def test_a_tensor_of_the_dtype_is_another_handle_on_it():
    x, indices = torch.zeros(2), torch.zeros(2, dtype=torch.int64)
    torch.FloatTensor(x)[0] = 5
    torch.Tensor(indices)[1] = 7
    assert x.tolist() == [5, 0] and indices.tolist() == [0, 7] and torch.Tensor(indices).dtype is torch.int64
    assert torch.LongTensor(torch.tensor(3)).shape == ()
    with pytest.raises(TypeError, match="expected LongTensor"):
        torch.LongTensor(x)
    assert (
        x.new(x).data_ptr() == x.data_ptr()
        and x.new(2, 3).dtype is x.dtype
        and indices.new([1]).tolist() == [1]
    )
    with pytest.raises(TypeError):
        x.new(indices)


def test_a_memory_is_read_whole():
    x = torch.arange(4.0)[1:]
    assert torch.FloatTensor(x.storage()).tolist() == [0, 1, 2, 3]
    assert torch.IntTensor(torch.tensor([1.0]).untyped_storage()).tolist() == [0x3F800000]
    with pytest.raises(RuntimeError):
        torch.LongTensor(x.storage())


def test_types_by_name_and_class():
    x = torch.ones(2)
    assert x.type() == "devtensor.FloatTensor" and isinstance(x, torch.FloatTensor)
    assert isinstance(torch.nn.Parameter(x), torch.FloatTensor) and not isinstance(x, torch.LongTensor)
    assert x.type("torch.LongTensor").dtype is x.type(torch.LongTensor).dtype is torch.int64
    assert x.type(torch.FloatTensor) is x and not torch.FloatTensor.is_cuda
    for wrong in ("foo", float):
        with pytest.raises(ValueError):
            x.type(wrong)


def test_the_default_type():
    try:
        torch.set_default_tensor_type("torch.DoubleTensor")
        assert torch.Tensor([1]).dtype is torch.ones(1).dtype is torch.float64
        torch.set_default_tensor_type(torch.FloatTensor)
        assert torch.Tensor([1]).dtype is torch.float32
        for wrong in (torch.LongTensor, 3, torch.float32):
            with pytest.raises(TypeError):
                torch.set_default_tensor_type(wrong)
    finally:
        torch.set_default_dtype(torch.float32)


def test_variable_is_a_tensor():
    x = torch.ones(2)
    v = torch.autograd.Variable(x, requires_grad=True)
    (v * 3).sum().backward()
    assert (
        v.grad.tolist() == [3, 3] and isinstance(x, torch.autograd.Variable) and v.data_ptr() == x.data_ptr()
    )
    assert not x.requires_grad and not torch.autograd.Variable(x, volatile=True).requires_grad
    for wrong in (3, [1]):
        with pytest.raises(TypeError, match="has to be a tensor"):
            torch.autograd.Variable(wrong)
