"""UntypedStorage, TypedStorage and the classes of each dtype."""

from __future__ import annotations

import copy
import pickle

import pytest

import devtensor
from devtensor.core.dtype import DTYPES
from devtensor.storage.typed import STORAGE_NAMES


def test_views_have_one_storage():
    base = devtensor.arange(6.0).reshape(2, 3)
    part = base[1, 1:]
    storage = part.untyped_storage()
    assert storage == base.untyped_storage() and hash(storage) == hash(base.untyped_storage())
    assert storage.data_ptr() == base.data_ptr() == part.data_ptr() - 16
    assert storage.nbytes() == storage.size() == len(storage) == 24
    assert base.storage().size() == 6 and base.storage().nbytes() == 24
    assert storage != base.clone().untyped_storage()
    assert storage.device == base.device and not storage.is_cuda and storage.get_device() == -1
    assert part.storage()._cdata == base.untyped_storage()._cdata


def test_bytes_and_elements():
    values = devtensor.tensor([1, 2, 258], dtype=devtensor.int16)
    assert values.untyped_storage().tolist() == [1, 0, 2, 0, 2, 1]
    assert values.untyped_storage()[4] == 2 and values.untyped_storage()[-1] == 1
    assert values.storage().tolist() == list(values.storage()) == [1, 2, 258]
    assert values.storage()[2] == 258 and values.storage().dtype is devtensor.int16
    assert values.storage().element_size() == 2 and values.untyped_storage().element_size() == 1


def test_slices_of_bytes_share_memory():
    values = devtensor.zeros(4, dtype=devtensor.uint8)
    part = values.untyped_storage()[1:3]
    part.fill_(7)
    assert values.tolist() == [0, 7, 7, 0] and len(part) == 2
    with pytest.raises((RuntimeError, ValueError), match="slices are only supported in UntypedStorage"):
        values.storage()[1:3]


def test_writing():
    values = devtensor.zeros(4)
    version = values._version
    storage = values.storage()
    storage[1] = 5
    storage[2:] = [6, 7]
    assert values.tolist() == [0, 5, 6, 7] and values._version > version
    assert storage.fill_(1) is storage and values.tolist() == [1] * 4
    storage.copy_(devtensor.arange(4.0).storage())
    assert values.tolist() == [0, 1, 2, 3]
    with pytest.raises(IndexError):
        storage[4] = 1
    with pytest.raises(IndexError):
        storage[-5]
    with pytest.raises(TypeError):
        storage["a"]
    with pytest.raises(ValueError, match="do not fit"):
        storage[:3] = [1, 2]
    with pytest.raises(ValueError, match="size does not match"):
        storage.copy_(devtensor.ones(5).storage())


def test_making():
    assert devtensor.UntypedStorage(4).nbytes() == 4 and devtensor.UntypedStorage([1, 255]).tolist() == [
        1,
        255,
    ]
    assert devtensor.FloatStorage(3).tolist() == [0, 0, 0]
    assert devtensor.TypedStorage([1, 2], dtype=devtensor.float64).tolist() == [1.0, 2.0]
    assert devtensor.TypedStorage().size() == 0
    for dtype, name in STORAGE_NAMES.items():
        made = getattr(devtensor, name)([0, 1])
        assert made.dtype is DTYPES[dtype] and made.tolist() == [0, 1]
        assert isinstance(made, getattr(devtensor, name)) and made.pickle_storage_type() == name
    assert not isinstance(devtensor.FloatStorage(1), devtensor.DoubleStorage)
    with pytest.raises(TypeError):
        devtensor.UntypedStorage(1, 2)
    with pytest.raises(ValueError, match="negative"):
        devtensor.UntypedStorage(-1)


def test_wrapping_bytes_as_elements():
    typed = devtensor.TypedStorage(wrap_storage=devtensor.ones(2).untyped_storage(), dtype=devtensor.int32)
    assert typed.tolist() == [0x3F800000] * 2 and typed.untyped().tolist() == [0, 0, 128, 63] * 2
    with pytest.raises(TypeError, match="wrap_storage"):
        devtensor.TypedStorage(wrap_storage=[1])


def test_copies():
    storage = devtensor.arange(3.0).storage()
    for made in (
        copy.copy(storage),
        copy.deepcopy(storage),
        storage.clone(),
        pickle.loads(pickle.dumps(storage)),
    ):
        assert made.tolist() == [0, 1, 2] and made != storage and made.dtype is storage.dtype
    one, other = copy.deepcopy([storage, storage])
    assert one == other
    untyped = storage.untyped()
    assert pickle.loads(pickle.dumps(untyped)).tolist() == untyped.tolist()


def test_conversions():
    storage = devtensor.FloatStorage([0.5, 2])
    assert storage.long().tolist() == [0, 2] and storage.double().dtype is devtensor.float64
    assert storage.float() is storage and storage.cpu() is storage
    assert storage.type() == "devtensor.FloatStorage" and storage.type(devtensor.int32).tolist() == [0, 2]


def test_from_buffers_and_files(tmp_path):
    from_buffer, from_file = devtensor.UntypedStorage.from_buffer, devtensor.UntypedStorage.from_file
    content = bytes([1, 0, 2, 0])
    assert from_buffer(content, dtype=devtensor.int16, count=1, offset=2).tolist() == [2, 0]
    with pytest.raises(ValueError, match="byte_order"):
        from_buffer(content, byte_order="middle")
    path = tmp_path / "numbers"
    path.write_bytes(content)
    private = from_file(path)
    private.fill_(9)
    assert private.tolist() == [9] * 4 and path.read_bytes() == content
    with pytest.raises(ValueError, match="4 bytes where 6 are needed"):
        from_file(path, False, 6)
    shared = from_file(path, True, 6)
    shared[5] = 3
    assert path.read_bytes() == content + b"\x00\x03"
    path.write_bytes(b"")
    assert from_file(path).nbytes() == 0


def test_sizes_stay():
    storage = devtensor.ones(2).untyped_storage()
    assert storage.resize_(8) is storage and not storage.resizable()
    with pytest.raises(NotImplementedError, match="cannot resize"):
        storage.resize_(0)


def test_what_is_a_storage():
    assert devtensor.is_storage(devtensor.ones(1).storage()) and devtensor.is_storage(
        devtensor.UntypedStorage(1)
    )
    assert not devtensor.is_storage(devtensor.ones(1))
    assert "TypedStorage(dtype=devtensor.float32, device=cpu) of size 1]" in repr(devtensor.ones(1).storage())
    assert "UntypedStorage(device=cpu) of size 4]" in repr(devtensor.ones(1).untyped_storage())


def test_on_every_device(device):
    values = devtensor.arange(3.0, device=device)
    assert values.untyped_storage().device.type == device
    assert values.untyped_storage().nbytes() == 12 and values.storage().tolist() == [0, 1, 2]
    assert values.storage().cpu().tolist() == [0, 1, 2]
    assert devtensor.empty(3, device="meta").untyped_storage().nbytes() == 12
