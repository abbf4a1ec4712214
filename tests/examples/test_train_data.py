"""The main job reads IDX files, and names what is wrong with them."""

from __future__ import annotations

import gzip
import importlib
import re
import struct
import sys
from pathlib import Path

import pytest

import devtensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
train = importlib.import_module("train")
train_data = importlib.import_module("train_data")


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """The number of threads is set for a whole process: here it stays as the suite has it."""
    monkeypatch.setattr(devtensor, "set_num_threads", lambda count: None)


def idx_bytes(shape: tuple[int, ...], content: bytes) -> bytes:
    return bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + content


def write_idx_directory(path: Path, packed: bool = False) -> Path:
    """Twenty images of 4 x 6 pixels to learn from and ten to be tested on, in three classes."""
    path.mkdir()
    for part, count in (("train", 20), ("t10k", 10)):
        pixels = bytes((7 * i) % 256 for i in range(count * 24))
        labels = bytes(i % 3 for i in range(count))
        files = {
            f"{part}-images-idx3-ubyte": idx_bytes((count, 4, 6), pixels),
            f"{part}-labels-idx1-ubyte": idx_bytes((count,), labels),
        }
        for name, content in files.items():
            if packed:
                (path / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_images_and_labels_arrive_as_written(tmp_path, packed):
    data = train_data.load_images(str(write_idx_directory(tmp_path / "data", packed)), seed=0)
    images, labels = data.train.tensors
    assert images.shape == (20, 1, 4, 6) and images.dtype == devtensor.uint8
    assert images.flatten().tolist() == [(7 * i) % 256 for i in range(480)]
    assert labels.tolist() == [i % 3 for i in range(20)] and labels.dtype == devtensor.int64
    assert data.image_size == (4, 6) and data.classes == 3 and data.name == "data"
    assert data.mean == pytest.approx(images.float().mean().item())


def test_the_job_runs_on_them(tmp_path, capsys):
    directory = write_idx_directory(tmp_path / "data")
    options = ["--data", str(directory), "--out", str(tmp_path / "out"), "--device", "cpu", "--amp", "off"]
    assert train.main(options) == 0
    text = capsys.readouterr().out
    assert len(re.findall(r"^epoch \d/5", text, re.MULTILINE)) == 5
    assert "cnn on data: 20 images to learn from, 10 held out; device cpu, amp off" in text


# What is wrong with a file -> its name, its content (None: there is none), what the message must say.
BAD_FILES: dict[str, tuple[str, bytes | None, str]] = {
    "missing": (
        "train-images-idx3-ubyte",
        None,
        "neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz",
    ),
    "empty": ("train-images-idx3-ubyte", b"", "ends inside its header of 16 bytes"),
    "header cut": ("train-images-idx3-ubyte", bytes((0, 0, 8, 3, 0)), "ends inside its header of 16 bytes"),
    "data cut": (
        "train-images-idx3-ubyte",
        idx_bytes((20, 4, 6), bytes(479)),
        "20 x 4 x 6 = 480 bytes after its header, but holds 479",
    ),
    "too long": ("train-images-idx3-ubyte", idx_bytes((20, 4, 6), bytes(481)), "but holds 481"),
    "labels as images": ("train-images-idx3-ubyte", idx_bytes((20,), bytes(20)), "starts with 0x00000801"),
    "no images": ("train-images-idx3-ubyte", idx_bytes((0, 4, 6), b""), "is empty: its sizes are 0 x 4 x 6"),
    "a picture": ("train-images-idx3-ubyte", b"\x89PNG\r\n", "starts with 0x89504e47"),
    "too few labels": (
        "train-labels-idx1-ubyte",
        idx_bytes((19,), bytes(19)),
        "train has 20 images and 19 labels",
    ),
    "other size": (
        "t10k-images-idx3-ubyte",
        idx_bytes((10, 6, 4), bytes(240)),
        "4 x 6 pixels, test images 6 x 4",
    ),
    "no gzip": ("t10k-labels-idx1-ubyte.gz", b"not gzip at all", "cannot be read"),
    "gzip cut": ("t10k-labels-idx1-ubyte.gz", gzip.compress(bytes(500))[:-9], "cannot be read"),
}


@pytest.mark.parametrize("wrong", BAD_FILES)
def test_bad_files_are_named(tmp_path, capsys, wrong):
    name, content, message = BAD_FILES[wrong]
    directory = write_idx_directory(tmp_path / "data")
    path = directory / name
    path.with_suffix("").unlink() if path.suffix == ".gz" else path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert train.main(["--data", str(directory), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert message in error and str(directory) in error
    assert not (tmp_path / "out").exists()
