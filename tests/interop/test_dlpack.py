"""DLPack both ways."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor as torch
from devtensor.core.errors import ArgumentError, ArgumentTypeError, ExportError

DTYPES = ["bool", "uint8", "int16", "uint32", "uint64", "float16", "float64", "complex64", "complex128"]


@pytest.mark.parametrize("name", DTYPES)
def test_dtypes_there_and_back(name):
    x = torch.tensor([0, 1, 1], dtype=getattr(torch, name))
    array = np.from_dlpack(x)
    assert array.dtype.name == name
    assert array.tolist() == x.tolist()
    again = torch.from_dlpack(array)
    assert again.dtype is x.dtype
    assert again.data_ptr() == x.data_ptr()


def test_layouts():
    for x in (torch.arange(6).reshape(2, 3).T, torch.zeros(0, 3), torch.arange(6)[::2], torch.tensor(5)):
        np.testing.assert_array_equal(np.from_dlpack(x), x.numpy())
    assert np.from_dlpack(torch.arange(6.0).reshape(2, 3).T).strides == (4, 12)
    with pytest.raises(ArgumentError, match="negative"):
        torch.from_dlpack(np.arange(3)[::-1])


class Producer:
    """An array of another library, known by the protocol alone."""

    def __init__(self, array, device=None):
        self.array = array
        self.device = device or array.__dlpack_device__()

    def __dlpack__(self, **arguments):
        return self.array.__dlpack__(**arguments)

    def __dlpack_device__(self):
        return self.device


def test_any_producer_is_taken_in():
    array = np.arange(3.0)
    x = torch.from_dlpack(Producer(array))
    array[0] = 7
    assert x[0] == 7
    assert torch.tensor(Producer(array)).tolist() == [7, 1, 2]
    assert torch.as_tensor(Producer(array)).data_ptr() == x.data_ptr()
    assert torch.asarray(Producer(array), copy=True).data_ptr() != x.data_ptr()
    with pytest.raises(ArgumentTypeError, match="DLPack device type 8"):
        torch.from_dlpack(Producer(array, (8, 0)))


def test_copies_and_devices():
    array = np.arange(3.0)
    assert torch.from_dlpack(array, copy=True).data_ptr() != torch.from_dlpack(array).data_ptr()
    assert torch.from_dlpack(array, device="cpu", copy=False).tolist() == [0, 1, 2]
    assert torch.from_dlpack(array, device="meta").device.type == "meta"
    with pytest.raises(ArgumentError, match="copy=False"):
        torch.from_dlpack(array, device="meta", copy=False)


def test_what_is_exported():
    x = torch.arange(3.0)
    assert tuple(map(int, x.__dlpack_device__())) == (1, 0)
    assert "versioned" in repr(x.__dlpack__(max_version=(1, 0)))
    assert "versioned" not in repr(x.__dlpack__())
    np.from_dlpack(x)[0] = 5
    np.from_dlpack(x, copy=True)[1] = 5
    assert x.tolist() == [5, 1, 2]
    assert x.__dlpack__(dl_device=(1, 0)) is not None
    for arguments in ({"stream": "a"}, {"stream": True}, {"dl_device": (8, 0)}):
        with pytest.raises(ArgumentTypeError):
            x.__dlpack__(**arguments)
    with pytest.raises(ExportError, match="detach"):
        torch.ones(2, requires_grad=True).__dlpack__()
    with pytest.raises(ArgumentError, match="meta"):
        torch.ones(2, device="meta").__dlpack__()
    with pytest.raises(ArgumentTypeError, match="no __dlpack__"):
        torch.from_dlpack([1])
