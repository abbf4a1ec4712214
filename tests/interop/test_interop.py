"""Tensors from Python numbers, arrays, buffers and DLPack, and back."""

from __future__ import annotations

import array

import ml_dtypes
import numpy as np
import pytest

import devtensor as torch
from devtensor.core.errors import ArgumentError, ArgumentTypeError, AutogradError, DTypeError, ExportError

MADE = {
    "ints": ([1, 2], torch.int64, [1, 2]),
    "floats": ([1.0, 2], torch.float32, [1, 2]),
    "bools": ([True, False], torch.bool, [True, False]),
    "bools and ints": ([1, True], torch.int64, [1, 1]),
    "nested": ([[1, 2], [3, 4.5]], torch.float32, [[1, 2], [3, 4.5]]),
    "number": (3, torch.int64, 3),
    "nothing": ([], torch.float32, []),
    "empty rows": ([[], []], torch.float32, [[], []]),
    "range": (range(3), torch.int64, [0, 1, 2]),
    "tensors": ([torch.tensor(1), torch.tensor(2)], torch.int64, [1, 2]),
    "tensors and ints": ([torch.tensor(1.5), 2], torch.float32, [1.5, 2]),
    "tensors of one element": ([torch.tensor([1]), torch.tensor([[2]])], torch.int64, [1, 2]),
    "tensors of several dtypes": (
        [torch.tensor(1, dtype=torch.int8), torch.tensor(0.5, dtype=torch.float16)],
        torch.float16,
        [1, 0.5],
    ),
    "a narrow tensor and an int": ([torch.tensor(1, dtype=torch.int8), 2], torch.int64, [1, 2]),
    "array": (np.arange(3, dtype=np.int16), torch.int16, [0, 1, 2]),
    "array of doubles": (np.array([0.5]), torch.float64, [0.5]),
    "NumPy scalar": (np.float64(2.5), torch.float64, 2.5),
    "arrays": ([np.array([1, 2]), np.array([3, 4])], torch.int64, [[1, 2], [3, 4]]),
    "arrays of two dtypes": ([np.array([1], np.int16), np.array([0.5])], torch.float64, [[1], [0.5]]),
    "an array and a list": ([np.array([1, 2], np.int32), [3, 4]], torch.int64, [[1, 2], [3, 4]]),
    "NumPy scalars": ([np.int8(1), np.int16(2)], torch.int16, [1, 2]),
    "NumPy bools": ([np.True_, np.False_], torch.bool, [True, False]),
    "complex numbers": ([1, 2j], torch.complex64, [1 + 0j, 2j]),
    "complex number": (1 + 2j, torch.complex64, 1 + 2j),
    "complex array": (np.array([1j]), torch.complex128, [1j]),
    "wider unsigned array": (np.array([2**63], np.uint64), torch.uint64, [2**63]),
    "buffer": (bytearray(b"ab"), torch.int64, [97, 98]),
    "view of memory": (memoryview(b"ab"), torch.int64, [97, 98]),
    "array module": (array.array("f", [1.5]), torch.float32, [1.5]),
    "empty first row": ([[], [1]], torch.float32, [[], []]),
    "infinity": (float("inf"), torch.float32, float("inf")),
    "beyond float32": (1e40, torch.float32, float("inf")),
}


@pytest.mark.parametrize("name", MADE)
def test_tensor(name):
    data, dtype, expected = MADE[name]
    made = torch.tensor(data)
    assert made.dtype is dtype
    assert made.tolist() == expected


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int8, torch.bool]
)
def test_tensor_of_a_dtype(dtype, device):
    made = torch.tensor([[0.0, 1.0], [2.7, -1.3]], dtype=dtype, device=device)
    kind = ml_dtypes.bfloat16 if dtype is torch.bfloat16 else dtype.name
    expected = np.array([[0.0, 1.0], [2.7, -1.3]]).astype(kind)
    np.testing.assert_array_equal(made.cpu().numpy(), expected)
    assert made.device.type == device


BAD = {
    "short row": ([[1, 2], [1]], ArgumentError, "expected sequence of length 2 at dim 1"),
    "number, then row": ([1, [2]], ArgumentTypeError, "'list' object"),
    "row, then number": ([[1], 2], ArgumentTypeError, "not a sequence"),
    "text": ("text", ArgumentTypeError, "invalid data type 'str'"),
    "texts": (["a"], ArgumentError, "too many dimensions 'str'"),
    "text in the second row": ([[1], "a"], ArgumentTypeError, "invalid data type 'str'"),
    "bytes": (b"ab", ArgumentTypeError, "invalid data type 'bytes'"),
    "None": (None, DTypeError, "Could not infer dtype of NoneType"),
    "Nones": ([None], DTypeError, "Could not infer dtype of NoneType"),
    "dict": ({1: 2}, DTypeError, "Could not infer dtype of dict"),
    "set": ({1}, DTypeError, "Could not infer dtype of set"),
    "generator": ((i for i in [1]), DTypeError, "Could not infer dtype of generator"),
    "object": (object(), DTypeError, "Could not infer dtype of object"),
    "array of texts": (np.array(["a"]), ArgumentTypeError, "array of type <U1"),
    "array of objects": (np.array([1], object), ArgumentTypeError, "array of type object"),
    "long doubles": (np.array([1], np.longdouble), ArgumentTypeError, "longdouble|float128"),
    "big endian": (np.array([1], ">i4"), ArgumentError, "byte order"),
    "negative strides": (np.arange(3)[::-1], ArgumentError, "negative"),
    "several integers in a tensor": ([torch.tensor([1, 2])], ArgumentTypeError, "single element"),
    "several floats in a tensor": ([torch.zeros(2)], ArgumentError, "Python scalar"),
    "NumPy bool as integer": ([np.True_, 2], ArgumentTypeError, "interpreted as an integer"),
    "too large": (2**63, ArgumentError, "Overflow when unpacking long long"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_tensor_refuses(name):
    data, error, message = BAD[name]
    with pytest.raises(error, match=message):
        torch.tensor(data)


def test_a_list_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(ArgumentError, match="too many dimensions 'list'"):
        torch.tensor(endless)


def test_integers_must_fit():
    with pytest.raises(DTypeError, match=r"uint8 without overflow; it holds integers in \[0, 255\]"):
        torch.tensor([300], dtype=torch.uint8)
    assert torch.tensor([-1, -255], dtype=torch.uint8).tolist() == [255, 1]
    for number in (-256, 1e10, float("nan"), float("inf")):
        with pytest.raises(DTypeError, match="without overflow"):
            torch.tensor([number], dtype=torch.uint8)
    for number in (-1, 2**64):
        with pytest.raises(OverflowError, match="uint64"):
            torch.tensor([number], dtype=torch.uint64)


def test_numbers_of_another_kind():
    assert torch.tensor([1.9, -1.9], dtype=torch.int64).tolist() == [1, -1]
    assert torch.tensor([0.5, 2, 0], dtype=torch.bool).tolist() == [True, True, False]
    assert torch.tensor([1 + 2j, 0], dtype=torch.bool).tolist() == [True, False]
    assert torch.tensor([True, 2], dtype=torch.complex128).tolist() == [1 + 0j, 2 + 0j]
    assert torch.tensor(3, dtype=float).dtype is torch.float64
    assert torch.tensor(3, dtype=complex).dtype is torch.complex128
    assert torch.tensor([1e40, -1e40, 1e5], dtype=torch.float16).tolist() == [np.inf, -np.inf, np.inf]
    for number, dtype, message in (
        (1j, torch.float32, "must be real number, not complex"),
        (1j, torch.int64, "'complex' object cannot be interpreted as an integer"),
        (None, torch.float32, "must be real number, not NoneType"),
        (torch.tensor(1.5), torch.int64, "only integer tensors"),
    ):
        with pytest.raises(ArgumentTypeError, match=message):
            torch.tensor([number], dtype=dtype)


def test_tensor_copies_and_as_tensor_shares():
    array = np.arange(3.0)
    copied, shared, again = torch.tensor(array), torch.as_tensor(array), torch.from_numpy(array)
    array[0] = 9
    assert copied[0] == 0
    assert shared[0] == 9
    assert again[0] == 9
    shared[1] = 7
    assert array[1] == 7
    tensor = torch.ones(2)
    assert torch.as_tensor(tensor) is tensor
    assert torch.as_tensor(array, dtype=torch.float32).dtype is torch.float32


def test_numpy_shares_memory():
    x = torch.zeros(2, 3)
    array = x.numpy()
    array[0, 0] = 5
    assert x[0, 0] == 5
    x += 1
    assert array[1, 1] == 1
    assert np.asarray(x) is not None
    np.testing.assert_array_equal(np.asarray(x, dtype=np.float64), array.astype(np.float64))


def test_numpy_refuses_what_it_cannot_share(device):
    x = torch.ones(2, requires_grad=True, device=device)
    error, message = (AutogradError, "detach") if device == "cpu" else (ArgumentTypeError, "cpu")
    with pytest.raises(error, match=message):
        x.numpy()
    with torch.no_grad():
        assert device != "cpu" or x.numpy().tolist() == [1, 1]
    assert x.numpy(force=True).tolist() == [1, 1]


def test_numpy_arrays_of_every_layout():
    base = np.arange(12.0).reshape(3, 4)
    for given in (base.T, base[::2], base[:, 1], np.zeros((0, 3)), np.array(2.5)):
        np.testing.assert_array_equal(torch.from_numpy(given).numpy(), given)
        np.testing.assert_array_equal(torch.tensor(given).numpy(), given)
    assert torch.tensor(base.T).stride() == (1, 4)
    assert torch.tensor(base[:, 1]).stride() == (1,)
    split = np.lib.stride_tricks.as_strided(np.zeros(4, np.int32), (2,), (6,))
    for given, message in ((base[::-1], "negative"), (base.astype(">f8"), "byte order"), (split, "multiple")):
        with pytest.raises(ArgumentError, match=message):
            torch.from_numpy(given)
    with pytest.raises(ArgumentTypeError, match=r"\[from_numpy\]"):
        torch.from_numpy([1, 2])
    with pytest.raises(ArgumentTypeError, match=r"\[from_numpy\]"):
        torch.from_numpy(np.array(["a"]))


def test_frombuffer():
    buffer = bytearray(range(16))
    x = torch.frombuffer(buffer, dtype=torch.int32, offset=4, count=2)
    assert x.tolist() == np.frombuffer(buffer, np.int32)[1:3].tolist()
    buffer[4] = 255
    assert x.tolist() == np.frombuffer(buffer, np.int32)[1:3].tolist()
    assert torch.frombuffer(buffer, dtype=torch.bfloat16).dtype is torch.bfloat16
    for facts in ({"offset": 16}, {"offset": -1}, {"count": 9}, {"offset": 1}):
        with pytest.raises(ArgumentError, match="frombuffer"):
            torch.frombuffer(buffer, **({"dtype": torch.int32} | facts))


def test_dlpack_shares_memory_both_ways():
    x = torch.arange(4.0)
    array = np.from_dlpack(x)
    array_of_ours = torch.from_dlpack(np.arange(3.0))
    x[0] = 9
    assert array[0] == 9
    assert array_of_ours.tolist() == [0, 1, 2]
    assert torch.from_dlpack(x).data_ptr() == x.data_ptr()
    with pytest.raises(ExportError, match="detach"):
        np.from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(ArgumentTypeError, match="no __dlpack__"):
        torch.from_dlpack([1, 2])


def test_asarray():
    array = np.arange(3.0)
    assert torch.asarray(array).data_ptr() == torch.from_numpy(array).data_ptr()
    assert torch.asarray(array, copy=True).data_ptr() != torch.from_numpy(array).data_ptr()
    with pytest.raises(ArgumentError, match="copy=False"):
        torch.asarray([1, 2], copy=False)
    assert torch.asarray([1.0], requires_grad=True).requires_grad
    with pytest.raises(ArgumentError, match="can't alias float64"):
        torch.asarray(array, dtype=torch.float32, copy=False)


def test_asarray_reads_buffers_as_a_dtype():
    buffer = bytearray(b"\x01\x02")
    x = torch.asarray(buffer, dtype=torch.uint8)
    x += 1
    assert list(buffer) == [2, 3]
    assert torch.asarray(bytearray(8)).dtype is torch.float32
    with pytest.raises(ArgumentError, match="7 bytes"):
        torch.asarray(bytearray(7))


def test_asarray_keeps_or_drops_history_as_asked():
    x = torch.ones(2, requires_grad=True)
    computed = x * 2
    assert torch.asarray(computed) is computed
    assert torch.asarray(x, copy=True).grad_fn is not None
    assert torch.asarray(x, dtype=torch.float64).grad_fn is not None
    assert not torch.asarray(computed, requires_grad=False).requires_grad
    assert torch.asarray(computed, requires_grad=True) is computed
    leaf = torch.asarray(x, requires_grad=False)
    assert leaf is x
    assert not x.requires_grad


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")  # by NumPy 2.5; people do it still
def test_an_array_given_another_shape_leaves_the_tensor_alone():
    given = np.arange(6.0)
    x = torch.from_numpy(given)
    got = x.numpy()
    given.shape, got.shape = (2, 3), (3, 2)
    assert x.shape == (6,) and x.sum() == 15
    got[0, 0] = 9
    assert given[0, 0] == x[0] == 9


def test_python_scalars():
    assert float(torch.tensor(2.5)) == 2.5
    assert int(torch.tensor(3)) == 3
    assert [10, 20, 30][torch.tensor(1)] == 20
    assert bool(torch.tensor([True]))
    with pytest.raises(RuntimeError, match="ambiguous"):
        bool(torch.ones(2))
    with pytest.raises(RuntimeError, match="cannot be converted to Scalar"):
        torch.ones(2).item()
