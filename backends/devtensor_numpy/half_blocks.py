"""Elementwise kernels on half types, block by block through the cache, so that memory sees halves alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import spans
from devtensor_numpy.half_loops import HalfLoop
from devtensor_numpy.halves import NAMES, lowering, memory_order, raising, up
from devtensor_numpy.leases import fresh
from devtensor_numpy.scratch import scratch

BLOCK = 1 << 16
"""Elements in a block: three of float32 fit into a cache of a megabyte, and calls cost little beside them."""

Cut = tuple[slice, ...]


@dataclass(frozen=True)
class HalfBlocks:
    """A kernel on float32 arrays as one on arrays of `half`.

    `wide` does the same on whole arrays, for those of one block; `writes` says that the kernel takes `out`,
    an array to write into; `loop` is the kernel in machine code, for lines and numbers.
    """

    kernel: Kernel
    wide: Kernel
    half: np.dtype
    writes: bool
    loop: HalfLoop | None = None

    def __call__(self, *arguments: Any, out: ndarray | None = None) -> ndarray:
        """The result, which may be in `out`: the memory of one of the arguments, to write into."""
        if self.loop is not None:
            result = self.loop(arguments, out)
            if result is not None:
                return result
        arrays = [a for a in arguments if isinstance(a, ndarray)]
        if max([a.size for a in arrays]) <= BLOCK:
            return self.wide(*arguments)
        shape = np.broadcast(*arrays).shape
        first = next((a for a in arrays if a.shape == shape and a.dtype == self.half), None)
        if first is None or not first.size:
            return self.wide(*arguments)
        axes = memory_order(first)
        turned = [a if a.size == 1 else along(a, axes) for a in arrays]
        whole = tuple([shape[axis] for axis in axes])
        if not all([a.size == 1 or (a.shape == whole and a.flags.c_contiguous) for a in turned]):
            return laid_back(self.computed(arguments, turned), whole, axes)
        lines = [a.reshape(-1 if a.size > 1 else ()) for a in turned]
        if out is not None and out.flags.c_contiguous and first.flags.c_contiguous:
            target = out.reshape(-1)
            # What raised after blocks were written could not be run again.
            with np.errstate(all="ignore"):
                result = self.computed(arguments, lines, target)
            return out if result is target else result.reshape(shape)
        result = None if self.loop is None else self.loop(lines)
        return laid_back(self.computed(arguments, lines) if result is None else result, whole, axes)

    def computed(self, arguments: tuple, arrays: Sequence[ndarray], target: ndarray | None = None) -> ndarray:
        """The result in rows of inputs in rows: in `target`, if it is in halves."""
        shape = np.broadcast(*arrays).shape
        ready = [
            Raised(a, f"half block {place}") if a.shape == shape and a.dtype == self.half else Whole(a)
            for place, a in enumerate(arrays)
        ]
        first = next(place for place, a in enumerate(ready) if isinstance(a, Raised))
        result, start = Result(shape, self.half, target), 0
        for cut, form in pieces(shape):
            parts = [a.part(cut, form, start) for a in ready]
            given = iter(parts)
            call = [next(given) if isinstance(a, ndarray) else a for a in arguments]
            again = {"out": parts[first]} if self.writes and result.floating else {}
            result.put(self.kernel(*call, **again), cut, start)
            start += math.prod(form)
        return result.array


def laid_back(result: ndarray, whole: tuple[int, ...], axes: tuple[int, ...]) -> ndarray:
    """A result in rows as it lies beside the array whose axes were put in order."""
    return result.reshape(whole).transpose(np.argsort(axes))


class Raised:
    """An input of a half type in rows, whose blocks go into scratch memory as float32."""

    def __init__(self, x: ndarray, place: str) -> None:
        self.buffer = scratch(place, min(x.size, BLOCK), np.float32)
        self.line = np.ascontiguousarray(x).reshape(-1)
        self.put = raising(self.line, self.buffer)
        self.form: tuple[int, ...] = ()
        self.block = self.buffer

    def part(self, cut: Cut, form: tuple[int, ...], start: int) -> ndarray:
        if form != self.form:
            self.form, self.block = form, self.buffer[: math.prod(form)].reshape(form)
        self.put(start, self.block.size)
        return self.block


class Whole:
    """An input of fewer elements, or of another dtype: of half types it is raised at once."""

    def __init__(self, x: ndarray) -> None:
        self.x = up(x) if x.dtype in NAMES else x

    def part(self, cut: Cut, form: tuple[int, ...], start: int) -> ndarray:
        if self.x.size == 1:
            return self.x
        sizes = self.x.shape
        return self.x[tuple([part if n > 1 else slice(None) for part, n in zip(cut, sizes, strict=False)])]


class Result:
    """What is made of the blocks: an array in rows, whose dtype the first of them tells."""

    def __init__(self, shape: tuple[int, ...], half: np.dtype, target: ndarray | None) -> None:
        self.shape, self.half, self.target = shape, half, target
        self.array: Any = None
        self.floating = False
        self.block: Any = None
        self.line: Any = None
        self.lower: Any = None

    def put(self, block: ndarray, cut: Cut, start: int) -> None:
        array = self.array if self.array is not None else self.begun(block)
        if not self.floating:
            array[cut] = block
            return
        if block is not self.block:
            self.line = np.ascontiguousarray(block, np.float32).reshape(-1)
            self.lower = lowering(self.line, array.reshape(-1))
            # A block that comes again holds other numbers, which a copy of it does not.
            self.block = block if block.flags.c_contiguous and block.dtype == np.float32 else None
        self.lower(start, block.size)

    def begun(self, block: ndarray) -> ndarray:
        """The array, now that it is known whether blocks are float32 that come down to the half type."""
        self.floating = block.dtype.kind == "f"
        if self.floating and self.target is not None:
            self.array = self.target
        else:
            self.array = fresh(self.shape, self.half if self.floating else block.dtype)
        return self.array


def along(x: ndarray, axes: tuple[int, ...]) -> ndarray:
    """x with as many dims as there are axes, in their order."""
    return x.reshape((1,) * (len(axes) - x.ndim) + x.shape).transpose(axes)


def pieces(shape: tuple[int, ...]) -> Iterator[tuple[Cut, tuple[int, ...]]]:
    """Cuts of about BLOCK elements that cover an array in rows, each in rows itself, and their shapes."""
    inner = math.prod(shape[1:])
    if inner <= BLOCK:
        for span in spans(shape[0], max(1, BLOCK // max(inner, 1))):
            yield (span,), (span.stop - span.start, *shape[1:])
        return
    for place in range(shape[0]):
        for cut, form in pieces(shape[1:]):
            yield (slice(place, place + 1), *cut), (1, *form)
