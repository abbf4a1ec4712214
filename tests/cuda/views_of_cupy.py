"""Run by a Python that has CuPy: the kernels of views, over CuPy's arrays and NumPy's, side by side.

No device is needed: CuPy's arrays stand on an address that nobody reads. Prints how many views agree, and
those that do not.
"""

from __future__ import annotations

import json
import random
from typing import Any

import cupy
import numpy as np

from devtensor.backend.arraylib import Library
from devtensor.backend.arraylib.movement import VIEWS

ADDRESS = 1 << 20
LIBRARIES = Library(np), Library(cupy, host=False)
DTYPES = ("float32", "complex64", "float16", "bool")
NAMES = ("permute", "getitem", "expand", "unfold", "diagonal", "reshape", "real", "imag")


def on_no_device(host: np.ndarray) -> Any:
    """A CuPy array of the same layout."""
    memory = cupy.cuda.UnownedMemory(ADDRESS, max(host.nbytes, 1), host, 0)
    return cupy.ndarray(host.shape, host.dtype, cupy.cuda.MemoryPointer(memory, 0), host.strides)


def entry(draw: random.Random, size: int) -> Any:
    """A part of an index along a dim."""
    if size and draw.random() < 0.25:
        return draw.randrange(size)
    if draw.random() < 0.2:
        return slice(None, None, -1)
    return slice(draw.randrange(size + 1), draw.randrange(size + 1), draw.choice([1, 2, 3]))


def factors(draw: random.Random, size: int) -> tuple[int, ...]:
    """Sizes whose product is `size`, now and then a 1 among them."""
    sizes = [0, 3] if not size else []
    while size > 1:
        sizes.append(draw.choice([f for f in range(2, size + 1) if size % f == 0]))
        size //= sizes[-1]
    return (*sizes, 1) if draw.random() < 0.3 else tuple(sizes)


def parameters(draw: random.Random, name: str, x: np.ndarray) -> tuple[Any, ...] | None:
    """Parameters with which the view can be taken; None if it cannot."""
    dims = list(range(x.ndim))
    draw.shuffle(dims)
    if name == "permute":
        return (tuple(dims),)
    if name == "getitem":
        inserted = [None] * draw.randrange(2)
        return ((*inserted, *(entry(draw, size) for size in x.shape)),)
    if name == "expand":
        return ((*(2,) * draw.randrange(2), *(draw.randrange(1, 4) if n == 1 else n for n in x.shape)),)
    if name == "unfold":
        return (dims[0], 2, draw.choice([1, 2]), 1) if dims and x.shape[dims[0]] >= 2 else None
    if name == "diagonal":
        return (draw.randrange(-1, 2), dims[0], dims[1]) if len(dims) >= 2 else None
    if name == "reshape":
        return (factors(draw, x.size),)
    return () if name == "real" or x.dtype.kind == "c" else None


def taken(library: Library, name: str, x: Any, given: tuple[Any, ...]) -> Any:
    """The view; None where there is none, and a copy would begin, for which CuPy wants a device."""
    try:
        return VIEWS[name](library, x, *given)
    except (ValueError, cupy.cuda.runtime.CUDARuntimeError):
        return None


def told(x: Any, offset: int) -> tuple[Any, ...]:
    """How an array lies; strides of sizes of 1 say nothing, and nothing at all in an empty one."""
    strides = tuple(stride for stride, size in zip(x.strides, x.shape, strict=True) if size > 1)
    place = (strides, offset, x.flags.c_contiguous) if x.size else ()
    return x.dtype.name, x.shape, *place


def walk(draw: random.Random) -> tuple[int, list[str]]:
    """A few views of one another: how many agreed, and the first that did not."""
    shape = [
        draw.choice([0, 1, 2, 3, 4] if draw.random() < 0.1 else [1, 2, 3, 4])
        for _ in range(draw.randrange(5))
    ]
    host = np.zeros(shape, draw.choice(DTYPES))
    mine, theirs, agreed = host, on_no_device(host), 0
    for _ in range(4):
        name = draw.choice(NAMES)
        given = parameters(draw, name, mine)
        if given is None:
            continue
        before = mine
        mine, theirs = (taken(lib, name, x, given) for lib, x in zip(LIBRARIES, (mine, theirs), strict=True))
        if mine is None and theirs is None:
            break
        what = f"{name}{given} of {before.shape} by {before.strides}, {before.dtype}"
        if mine is None or theirs is None:
            return agreed, [f"{what}: a view to one alone"]
        wanted = told(mine, mine.ctypes.data - host.ctypes.data)
        found = told(theirs, theirs.data.ptr - ADDRESS)
        if wanted != found:
            return agreed, [f"{what}: {found} instead of {wanted}"]
        agreed += 1
    return agreed, []


draw = random.Random(0)
runs = [walk(draw) for _ in range(4000)]
print(json.dumps([sum(agreed for agreed, _ in runs), [text for _, texts in runs for text in texts]]))
