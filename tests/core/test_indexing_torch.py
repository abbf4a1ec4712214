"""Random index expressions, legal and not, against PyTorch itself: an optional run (--oracle torch).

An expression is made of entries that both libraries understand; tensors among them are held as NumPy arrays
with the form in which they are handed over. At most one entry is illegal, so that which fault is found first
does not matter.
"""

from __future__ import annotations

import random
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest

import devtensor

CLASSES = (IndexError, ValueError, TypeError, RuntimeError)
COUNT = 3000
EVERYTHING = slice(None)


class Given(NamedTuple):
    """An array among the entries, and how it is given: as tensor, list, tuple or array."""

    array: np.ndarray
    form: str

    def for_library(self, library: Any) -> Any:
        if self.form == "array":
            return self.array
        if self.form == "tensor":
            return library.tensor(self.array)
        numbers = self.array.tolist()
        return tuple(numbers) if self.form == "tuple" and isinstance(numbers, list) else numbers


def whole(draw: random.Random, size: int) -> int:
    return draw.randint(-size, size - 1)


def part(draw: random.Random, size: int) -> slice:
    start, stop = (draw.choice([None, draw.randint(-size - 2, size + 2)]) for _ in range(2))
    return slice(start, stop, draw.choice([None, None, 1, 2, 3]))


def chosen(draw: random.Random, size: int, shape: tuple[int, ...]) -> Given:
    numbers = [whole(draw, size) for _ in range(int(np.prod(shape)))]
    form = draw.choice(["tensor", "tensor", "list", "tuple", "array"]) if shape else "tensor"
    dtype = draw.choice(["int64", "int64", "int32"])
    return Given(np.array(numbers, dtype).reshape(shape), form)


def mask(draw: random.Random, shape: tuple[int, ...]) -> Given:
    truths = [draw.random() < 0.5 for _ in range(int(np.prod(shape)))]
    return Given(np.array(truths, bool).reshape(shape), "tensor" if len(shape) > 1 else "list")


def legal(draw: random.Random) -> tuple[tuple[int, ...], list]:
    """A shape and the entries of an index into it."""
    shape = tuple(draw.choice([1, 2, 2, 3, 4]) for _ in range(draw.randint(0, 4)))
    common = draw.choice([(), (1,), (2,), (3,), (2, 2)])
    entries: list[Any] = []
    dim, masked = 0, False
    while dim < len(shape) and draw.random() < 0.85:
        kind, size = draw.random(), shape[dim]
        if kind < 0.25:
            entries.append(whole(draw, size))
        elif kind < 0.5:
            entries.append(part(draw, size))
        elif kind < 0.6:
            entries.append(draw.choice([None, True]))
            continue
        elif kind < 0.7 and not masked:
            rank = draw.randint(1, min(2, len(shape) - dim))
            entries.append(mask(draw, shape[dim : dim + rank]))
            masked, dim = True, dim + rank - 1
        elif kind < 0.9 and not masked:
            entries.append(chosen(draw, size, common))
        else:
            entries.append(EVERYTHING)
        dim += 1
    if draw.random() < 0.2:
        entries.insert(draw.randint(0, len(entries)), Ellipsis)
    return shape, entries


def spoilt(draw: random.Random, shape: tuple[int, ...], entries: list) -> list:
    """The entries with one that is illegal instead of one of them, or beside them."""
    bad = draw.choice(
        [
            7, -8, 1.5, 1j, "a", {}, slice(None, None, -1), slice(0.5, None),
            Given(np.array([9]), "tensor"), Given(np.array([0.5]), "tensor"), Given(np.array(0.5), "tensor"),
            Given(np.array([0], np.int16), "tensor"), Given(np.ones(9, bool), "tensor"),
        ]
    )  # fmt: skip
    places = [k for k, entry in enumerate(entries) if isinstance(entry, (int, slice)) and entry is not True]
    if not places:
        return [*entries, *[0] * (len(shape) + 1)]
    k = draw.choice(places)
    return [*entries[:k], bad, *entries[k + 1 :]]


def expressions(seed: int) -> Any:
    """Shapes and indices; a lone entry often stands by itself."""
    draw = random.Random(seed)
    for _ in range(COUNT):
        shape, entries = legal(draw)
        if draw.random() < 0.2:
            entries = spoilt(draw, shape, entries)
        yield draw, shape, entries[0] if len(entries) == 1 and draw.random() < 0.7 else tuple(entries)


def handed(index: Any, library: Any) -> Any:
    if isinstance(index, Given):
        return index.for_library(library)
    if isinstance(index, tuple):
        return tuple(handed(entry, library) for entry in index)
    return index


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)


def attempt(step: Any, library: Any, *args: Any) -> Any:
    """What a step gives, or the class of its error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return step(library, *args)
    except CLASSES as error:
        return next(kind.__name__ for kind in CLASSES if isinstance(error, kind))


def read(library: Any, shape: tuple[int, ...], index: Any) -> list:
    """Value, dtype and gradient of `x[index]`."""
    x = library.tensor(numbered(shape)).requires_grad_()
    found = x[handed(index, library)]
    (found * found * (found + 1)).sum().backward()
    return [str(found.dtype).split(".")[1], found.detach().numpy(), x.grad.numpy()]


def write(library: Any, shape: tuple[int, ...], index: Any, value: Any) -> list:
    """What `x[index] = value` makes of x, and the gradients of both."""
    x = library.tensor(numbered(shape)).requires_grad_()
    brought = library.tensor(value) if isinstance(value, np.ndarray) else value
    differentiated = isinstance(value, np.ndarray) and value.dtype == np.float64
    if differentiated:
        brought.requires_grad_()
    y = x * 1
    y[handed(index, library)] = brought
    (y * y).sum().backward()
    gradient = brought.grad if differentiated else None
    return [y.detach().numpy(), x.grad.numpy(), np.zeros(()) if gradient is None else gradient.numpy()]


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, str) or isinstance(theirs, str):
        return ours is theirs or (isinstance(ours, str) and isinstance(theirs, str) and ours == theirs)
    pairs = zip(ours, theirs, strict=True)
    return all(np.shape(a) == np.shape(b) and np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("seed", [1, 2])
def test_reading_is_pytorchs(torch, seed):
    refused = 0
    for _, shape, index in expressions(seed):
        ours, theirs = attempt(read, devtensor, shape, index), attempt(read, torch, shape, index)
        refused += isinstance(theirs, str)
        assert same(ours, theirs), f"{shape} at {index}: {ours}; PyTorch gives {theirs}"
    assert COUNT // 20 < refused < COUNT // 2


def values_for(draw: random.Random, shape: tuple[int, ...]) -> Any:
    """A number, or an array that fits the shape: perhaps stretched, perhaps of another dtype."""
    if draw.random() < 0.25:
        return draw.choice([7, 2.5, True, -1])
    sizes = [1 if draw.random() < 0.2 else size for size in shape]
    sizes = sizes[draw.randint(0, len(sizes)) :] if draw.random() < 0.2 else sizes
    if draw.random() < 0.05:
        sizes = [*sizes, 5]
    return (100 + numbered(tuple(sizes))).astype(draw.choice(["float64", "float64", "float32", "int64"]))


@pytest.mark.parametrize("seed", [3, 4])
def test_writing_is_pytorchs(torch, seed):
    for draw, shape, index in expressions(seed):
        places = attempt(read, torch, shape, index)
        if isinstance(places, str):
            value: Any = 1.0
        else:
            value = values_for(draw, places[1].shape)
            if np.unique(places[1]).size < places[1].size and isinstance(value, np.ndarray):
                continue
        ours, theirs = (attempt(write, library, shape, index, value) for library in (devtensor, torch))
        assert same(ours, theirs), f"{shape} at {index} = {value!r}: {ours}; PyTorch gives {theirs}"
