"""The oldest format, of which no PyTorch of today writes any: built here by hand."""

from __future__ import annotations

import io
import random
import struct
import tarfile

import pytest

import devtensor
from devtensor.core.errors import CheckpointError
from devtensor.serialization.names import torch_name
from devtensor.serialization.pickling import TorchPickler
from devtensor.serialization.storing import StorageTable


def pickled(value, references=False) -> bytes:
    """A pickle; in the state itself, numbers stand for tensors."""

    class Pickler(TorchPickler):
        def persistent_id(self, obj):
            return obj.key if isinstance(obj, Reference) else None

    buffer = io.BytesIO()
    Pickler(buffer, StorageTable(), lambda stored: ()).dump(value)
    return buffer.getvalue()


class Reference:
    def __init__(self, key: str) -> None:
        self.key = key


def tensor_entry(key, storage, size, stride, offset) -> bytes:
    head = pickled((key, storage, torch_name("torch.FloatTensor")))
    ndim = len(size)
    return head + struct.pack(f"<i4x{2 * ndim + 1}q", ndim, *size, *stride, offset)


def tar_file(
    size=(2, 3), stride=(3, 1), offset=0, count=6, members=("storages", "tensors", "pickle")
) -> bytes:
    floats = struct.pack("<6f", *range(6))
    storage = pickled((11, "cpu", torch_name("torch.FloatStorage"))) + struct.pack("<q", count) + floats
    contents = {
        "storages": pickled(1) + storage + pickled([(12, 11, 2, 3)]),
        "tensors": pickled(2)
        + tensor_entry(21, 11, size, stride, offset)
        + tensor_entry(22, 12, (3,), (1,), 0),
        "pickle": pickled({"whole": Reference("21"), "part": Reference("22")}),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as tar:
        for name in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(contents[name])
            tar.addfile(entry, io.BytesIO(contents[name]))
    return buffer.getvalue()


def test_tensors_on_shared_storages():
    found = devtensor.load(io.BytesIO(tar_file()))
    assert found["whole"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["part"].tolist() == [2, 3, 4]
    found["whole"][1, 0] = 9
    assert found["part"][1] == 9


@pytest.mark.parametrize(
    "lie",
    [{"size": (3, 3)}, {"offset": 1}, {"offset": -1}, {"stride": (-1, 1)}, {"count": 7}, {"count": 1 << 50}],
)
def test_lies(lie):
    with pytest.raises(CheckpointError):
        devtensor.load(io.BytesIO(tar_file(**lie)))


def test_damage():
    content, draw = tar_file(), random.Random(0)
    for size in range(600, len(content) - 10_000, 97):
        with pytest.raises(CheckpointError):
            devtensor.load(io.BytesIO(content[:size]))
    with pytest.raises(CheckpointError, match="pickle"):
        devtensor.load(io.BytesIO(tar_file(members=("storages", "tensors"))))
    for _ in range(300):
        changed = bytearray(content)
        changed[draw.randrange(4000)] ^= 1 << draw.randrange(8)
        try:
            devtensor.load(io.BytesIO(bytes(changed)))
        except RuntimeError as error:
            assert str(error).startswith("[load]")
