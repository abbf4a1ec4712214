"""Tensors from Python numbers, arrays, buffers and DLPack, and back."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import devtensor as torch
from devtensor.core.errors import ArgumentError, ArgumentTypeError, AutogradError

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
    "rows of tensors": ([torch.tensor([1, 2]), torch.tensor([3, 4])], torch.int64, [[1, 2], [3, 4]]),
    "array": (np.arange(3, dtype=np.int16), torch.int16, [0, 1, 2]),
    "array of doubles": (np.array([0.5]), torch.float64, [0.5]),
    "NumPy scalar": (np.float64(2.5), torch.float64, 2.5),
    "arrays": ([np.array([1, 2]), np.array([3, 4])], torch.int64, [[1, 2], [3, 4]]),
    "big endian": (np.array([1, 258], dtype=">i4"), torch.int32, [1, 258]),
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


BAD = [
    ([[1], [1, 2]], ArgumentError, "expected sequence of length 1 at dim 1"),
    ([1, [2]], ArgumentError, "expected sequence of length"),
    ([[1], 2], ArgumentError, "expected a sequence at dim 1"),
    ("text", ArgumentTypeError, "data holds str"),
    (["a"], ArgumentTypeError, "data holds str"),
    ([None], ArgumentTypeError, "data holds NoneType"),
    (np.array(["a"]), ArgumentTypeError, "dtype <U1"),
    (np.array([1j]), ArgumentTypeError, "dtype complex128"),
    ([torch.zeros(2), torch.zeros(3)], ArgumentError, "equal shape"),
]


@pytest.mark.parametrize(("data", "error", "message"), BAD, ids=[b[2] for b in BAD])
def test_what_tensor_refuses(data, error, message):
    with pytest.raises(error, match=message):
        torch.tensor(data)


def test_integers_must_fit():
    with pytest.raises(ArgumentError, match=r"uint8 without overflow; it holds integers in \[0, 255\]"):
        torch.tensor([300], dtype=torch.uint8)


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
    with pytest.raises(AutogradError, match="detach"):
        x.numpy()
    if device != "cpu":
        with pytest.raises(ArgumentTypeError, match="cpu"):
            x.detach().numpy()
    assert x.numpy(force=True).tolist() == [1, 1]


def test_numpy_arrays_of_every_layout():
    base = np.arange(12.0).reshape(3, 4)
    for array in (base.T, base[::2], base[:, 1], base[::-1]):
        np.testing.assert_array_equal(torch.from_numpy(array).numpy(), array)
        np.testing.assert_array_equal(torch.tensor(array).numpy(), array)
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
    with pytest.raises(AutogradError, match="detach"):
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


def test_python_scalars():
    assert float(torch.tensor(2.5)) == 2.5
    assert int(torch.tensor(3)) == 3
    assert [10, 20, 30][torch.tensor(1)] == 20
    assert bool(torch.tensor([True]))
    with pytest.raises(RuntimeError, match="ambiguous"):
        bool(torch.ones(2))
    with pytest.raises(RuntimeError, match="cannot be converted to Scalar"):
        torch.ones(2).item()
