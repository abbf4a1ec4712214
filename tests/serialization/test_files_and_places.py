"""Where a checkpoint is written and read: paths, streams, mapped files, devices."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import pytest

import devtensor
from pt_archives import FORMATS, again


def test_places(tmp_path):
    path = tmp_path / "m.pt"
    for target in (path, str(path)):
        devtensor.save([1], target)
        assert devtensor.load(target) == [1]
    with open(path, "rb") as file:
        assert devtensor.load(file) == [1]
    with open(path, "wb") as file:
        devtensor.save([2], file)
    assert devtensor.load(path) == [2]
    with pytest.raises(FileNotFoundError):
        devtensor.load(tmp_path / "none.pt")
    with pytest.raises(AttributeError):
        devtensor.save([1], 5)
    for call in (devtensor.load, lambda file: devtensor.save([1], file)):
        with pytest.raises(TypeError, match="opened as text"):
            call(io.StringIO())
    with pytest.raises(AttributeError, match="seekable"):
        devtensor.load(5)


def test_a_stream_that_cannot_seek_is_written():
    read, write = os.pipe()
    with open(write, "wb") as file:
        devtensor.save([1, 2], file)
    with open(read, "rb") as file:
        assert devtensor.load(io.BytesIO(file.read())) == [1, 2]


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "m.pt"
    devtensor.save([1], path)
    os.chmod(path, 0o640)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        devtensor.save([devtensor.ones(5), lambda: 0], path)
    assert devtensor.load(path) == [1]
    devtensor.save([2], path)
    assert os.stat(path).st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["m.pt"]


def test_a_link_is_followed(tmp_path):
    path, link = tmp_path / "real.pt", tmp_path / "link.pt"
    link.symlink_to(path)
    devtensor.save([1], link)
    assert link.is_symlink() and devtensor.load(path) == [1]


def test_what_cannot_be_replaced_is_written_to():
    devtensor.save([1], Path(os.devnull))


def test_a_mapped_file_is_left_alone_unless_it_is_shared(tmp_path):
    path = tmp_path / "m.pt"
    devtensor.save({"x": devtensor.zeros(4), "y": devtensor.zeros(3).half()}, path)
    devtensor.load(path, mmap=True)["x"].fill_(1)
    assert devtensor.load(path)["x"].tolist() == [0] * 4
    import mmap

    with devtensor.serialization.set_default_mmap_options(mmap.MAP_SHARED):
        devtensor.load(path, mmap=True)["x"].fill_(1)
    assert devtensor.serialization.get_default_mmap_options() == mmap.MAP_PRIVATE
    assert devtensor.load(path, mmap=True)["x"].tolist() == [1] * 4


def test_a_function_chooses_places():
    seen = []

    def place(storage, tag):
        seen.append((tag, storage.nbytes()))

    assert again([devtensor.ones(3)], map_location=place)[0].tolist() == [1, 1, 1]
    assert seen == [("cpu", 12)]
    assert again([devtensor.ones(3)], map_location="meta")[0].device.type == "meta"
    with pytest.raises(TypeError, match="map_location"):
        again([1], map_location=5)
    with pytest.raises(KeyError):
        again([devtensor.ones(3)], map_location=lambda storage, tag: {}[tag])


def test_tensors_of_every_device(device):
    values = devtensor.arange(6.0, device=device).reshape(2, 3)
    found = again([values, values[1]])
    assert found[0].device == values.device and found[0].tolist() == values.tolist()
    assert found[1].tolist() == values[1].tolist()
    assert again(values, map_location="cpu").device.type == "cpu"
    if device != "strict":
        found[0].fill_(1)
        assert found[1].tolist() == [1, 1, 1]


def test_registered_packages_come_first():
    serialization = devtensor.serialization
    tags: list[str] = []
    serialization.register_package(
        0, lambda storage: "shelf" if tags else None, lambda storage, tag: storage if tag == "shelf" else None
    )
    tags.append("on")
    try:
        buffer = io.BytesIO()
        devtensor.save(devtensor.ones(2), buffer)
        assert b"shelf" in buffer.getvalue()
        buffer.seek(0)
        assert devtensor.load(buffer).tolist() == [1, 1]
    finally:
        serialization.places._packages.pop(0)
    buffer.seek(0)
    with pytest.raises(RuntimeError, match=r"tagged with shelf.*map_location"):
        devtensor.load(buffer)


class Slow(io.RawIOBase):
    """A file that takes seven bytes at a time."""

    def __init__(self):
        self.taken = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.taken += data[:7]
        return min(len(data), 7)


@pytest.mark.parametrize("zipped", FORMATS)
def test_files_that_take_little_at_a_time(zipped):
    file = Slow()
    devtensor.save([devtensor.ones(100)], file, _use_new_zipfile_serialization=zipped)
    assert devtensor.load(io.BytesIO(bytes(file.taken)))[0].sum() == 100
