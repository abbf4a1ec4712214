"""Image data for the main job: the digits inside scikit-learn, or a directory of MNIST-format IDX files."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import devtensor
from devtensor.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset
from train_errors import JobError

UNSIGNED_BYTE = 0x08
HELD_OUT = 0.2


@dataclass(frozen=True)
class ImageData:
    """Grey images with labels, split into a part to learn from and a part to be tested on.

    Shapes: each set holds images (N, 1, H, W) uint8 and labels (N,) int64
    Units: `mean` and `std` are those of the training pixels, on the scale of the pixels
    """

    name: str
    train: TensorDataset
    test: TensorDataset
    mean: float
    std: float
    classes: int

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of an image, in pixels."""
        height, width = self.train.tensors[0].shape[2:]
        return height, width


def load_images(source: str, seed: int) -> ImageData:
    """Load the digits if `source` is "digits", else the IDX files in the directory `source`.

    Errors: JobError if the data is missing or is not what it should be.
    """
    return load_digits(seed) if source == "digits" else load_idx_directory(Path(source))


def load_digits(seed: int) -> ImageData:
    """Load scikit-learn's 1797 digits of 8 x 8 pixels; a fifth of each class is held out."""
    try:
        from sklearn.datasets import load_digits as load
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise JobError(
            "[--data digits] the digits come with scikit-learn, which is not installed; "
            "install it (pip install scikit-learn) or give a directory of IDX files: --data DIR"
        ) from error
    images, labels = load(return_X_y=True)
    train, test = train_test_split(range(len(labels)), test_size=HELD_OUT, stratify=labels, random_state=seed)
    pixels = devtensor.from_numpy(images.astype("uint8")).reshape(-1, 1, 8, 8)
    classes = devtensor.from_numpy(labels.astype("int64"))
    return assemble("digits", (pixels[train], classes[train]), (pixels[test], classes[test]))


def load_idx_directory(directory: Path) -> ImageData:
    """Load train and t10k images and labels, gzipped or not, from `directory`."""
    if not directory.is_dir():
        raise JobError(f'[--data] {directory} is not a directory; give "digits" or a directory of IDX files')
    train, test = (load_idx_pair(directory, part) for part in ("train", "t10k"))
    if train[0].shape[2:] != test[0].shape[2:]:
        raise JobError(
            f"[--data] {directory}: training images are {size_text(train[0])} pixels, "
            f"test images {size_text(test[0])}; both must be of one size"
        )
    return assemble(directory.name, train, test)


def load_idx_pair(directory: Path, part: str) -> tuple[devtensor.Tensor, devtensor.Tensor]:
    """Images (N, 1, H, W) and labels (N,) of one part, which must be as many as each other."""
    images = read_idx(find_idx(directory, f"{part}-images-idx3-ubyte"), ndim=3)
    labels = read_idx(find_idx(directory, f"{part}-labels-idx1-ubyte"), ndim=1)
    if len(images) != len(labels):
        raise JobError(
            f"[--data] {directory}: {part} has {len(images)} images and {len(labels)} labels; "
            "the files do not belong together"
        )
    return images.unsqueeze(1), labels.long()


def find_idx(directory: Path, name: str) -> Path:
    """Path of the file `name` or `name`.gz."""
    for path in (directory / name, directory / f"{name}.gz"):
        if path.is_file():
            return path
    raise JobError(f"[--data] {directory} has neither {name} nor {name}.gz; it needs one of them")


def read_idx(path: Path, ndim: int) -> devtensor.Tensor:
    """Read one IDX file of unsigned bytes with `ndim` dimensions.

    Errors: JobError if the file cannot be read, is of another kind, or is not as long as its header says.
    Source: the format as described on the MNIST page: two zero bytes, type, rank, sizes (big endian), data.
    """
    content = read_bytes(path)
    start = 4 + 4 * ndim
    expected = bytes((0, 0, UNSIGNED_BYTE, ndim))
    if not expected.startswith(content[:4]):
        raise JobError(
            f"[--data] {path} starts with 0x{content[:4].hex()}; an IDX file of unsigned bytes "
            f"in {ndim} dimensions starts with 0x{expected.hex()}"
        )
    if len(content) < start:
        raise JobError(f"[--data] {path} ends inside its header of {start} bytes; fetch it again")
    shape = struct.unpack(f">{ndim}I", content[4:start])
    if len(content) - start != math.prod(shape):
        raise JobError(
            f"[--data] {path} should hold {' x '.join(map(str, shape))} = {math.prod(shape)} bytes after its "
            f"header, but holds {len(content) - start}; it is cut short or damaged: fetch it again"
        )
    if 0 in shape:
        raise JobError(f"[--data] {path} is empty: its sizes are {' x '.join(map(str, shape))}")
    return devtensor.frombuffer(bytearray(content), dtype=devtensor.uint8, offset=start).reshape(shape)


def read_bytes(path: Path) -> bytes:
    """Content of a file, unpacked if its name ends in .gz."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            return file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise JobError(f"[--data] {path} cannot be read: {error}; fetch it again") from error


def assemble(name: str, train: tuple, test: tuple) -> ImageData:
    """Describe the data: its classes and the mean and standard deviation of the training pixels."""
    pixels = train[0].float()
    return ImageData(
        name=name,
        train=TensorDataset(*train),
        test=TensorDataset(*test),
        mean=pixels.mean().item(),
        std=max(pixels.std().item(), 1e-6),
        classes=1 + max(train[1].max().item(), test[1].max().item()),
    )


def size_text(images: devtensor.Tensor) -> str:
    """Height and width for a message."""
    height, width = images.shape[2:]
    return f"{height} x {width}"


def batches(
    dataset: TensorDataset, batch_size: int, order: devtensor.Generator | None = None, workers: int = 0
) -> DataLoader:
    """Yield (images, labels) by `batch_size`, shuffled by the random numbers of `order` if it is given.

    The sampler gives whole lists of indices, so that one indexing call takes a batch, not one per image.
    The loader draws its workers' seeds from a generator of its own, so that workers change no other number.
    """
    sampler = SequentialSampler(dataset) if order is None else RandomSampler(dataset, generator=order)
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=BatchSampler(sampler, batch_size, drop_last=False),
        num_workers=workers,
        persistent_workers=workers > 0,
        generator=devtensor.Generator(),
    )
