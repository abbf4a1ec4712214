"""Values added at places that indices name, as often as these occur: one launch, whatever the dtype.

Half types are summed in float32 and rounded once, which costs float32 numbers as many as the target has;
integers without an atomic addition of their own in int32. A value whose place is not there is left out: to
tell would mean to wait. Where kernels of ours do not compile, CuPy's `add.at` serves.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import cupy
import numpy as np

from devtensor.backend.arraylib.library import dtype_name
from devtensor.backend.protocol import Kernel
from devtensor.backend.wishes import wishes
from devtensor_cupy.compile.prelude import C_TYPES
from devtensor_cupy.compile.scatter import SUM_TYPES
from devtensor_cupy.compile.walks import MOST_AXES, Axes, Steps, axes, spread_steps, steps_of, walk
from devtensor_cupy.launching import launcher

NAMES = frozenset({"index_put", "scatter_add", "embedding_grad"})
"""The kernels that take half types as they are."""
SUMMED_IN = {
    "float16": "float32", "bfloat16": "float32", "bool": "int32", "int8": "int32", "uint8": "int32",
    "int16": "int32", "uint16": "int32",
}  # fmt: skip
"""The dtype of the sums where it is not that of the values."""
SIGNED = {"uint32": "int32", "uint64": "int64"}
"""Whose kernels add numbers without sign: the bits are the same."""


class Places:
    """The shape of the values, and where each belongs: steps along its dims through the target and indices.

    `named` are the target's dims that indices go along, one for each of these.
    """

    def __init__(
        self, shape: Steps, target: Any, indices: list[Any], named: list[int], along: list[Steps]
    ) -> None:
        self.shape, self.target, self.indices = shape, target, indices
        self.named, self.along = named, along

    @property
    def axes(self) -> Axes:
        """The target's dims that indices go along."""
        target = self.target
        return axes(*(tuple(given[d] for d in self.named) for given in (target.shape, steps_of(target))))

    def walked(self, values: Any) -> Any:
        """How a kernel walks along the target, the values and the indices; None if it cannot."""
        if len(self.indices) > MOST_AXES:
            return None
        mine, *others = self.along
        return walk(self.shape, (mine, spread_steps(values, self.shape), *others))


def in_int64(index: Any) -> Any:
    return index.astype(cupy.int64, copy=False)


def places_of(target: Any, index: Any) -> Places:
    """What NumPy's `target[index]` speaks of, for arrays of indices and whole slices."""
    entries = index if isinstance(index, tuple) else (index,)
    named = [d for d, entry in enumerate(entries) if not isinstance(entry, slice)]
    common = np.broadcast_shapes(*(entries[d].shape for d in named))
    rest = [d for d in range(target.ndim) if d not in named]
    at = named[0] if named == list(range(named[0], named[0] + len(named))) else 0
    shape = (*(target.shape[d] for d in rest[:at]), *common, *(target.shape[d] for d in rest[at:]))
    own = steps_of(target)
    mine = (*(own[d] for d in rest[:at]), *(0,) * len(common), *(own[d] for d in rest[at:]))
    indices = [in_int64(entries[d]) for d in named]
    walked = [spread_steps(index, common) for index in indices]
    theirs = [(*(0,) * at, *steps, *(0,) * (len(rest) - at)) for steps in walked]
    return Places(shape, target, indices, named, [mine, *theirs])


def places_along(target: Any, index: Any, dim: int) -> Places:
    """The same for an array of indices along one dim, whose elements stand at their own places in others."""
    mine = tuple(0 if d == dim else step for d, step in enumerate(steps_of(target)))
    index = in_int64(index)
    return Places(index.shape, target, [index], [dim], [mine, steps_of(index)])


def add(places: Places, values: Any) -> bool:
    """Add values at places of a target in whose dtype sums are kept; whether kernels of ours could."""
    given = dtype_name(values)
    name, count = SIGNED.get(given, given), math.prod(places.shape)
    steps = places.walked(values)
    if steps is None or not ready(name):
        return False
    if count:
        indices = [index.data.ptr for index in places.indices]
        indices += [None] * (MOST_AXES - len(indices))
        start = add_in_order if wishes.deterministic and name in C_TYPES else add_by_atomics
        start(name, [places.target.data.ptr, values.data.ptr], indices, [steps, places.axes], count)
    return True


def ready(name: str) -> bool:
    """Whether values of a dtype can be added by kernels of ours on the current device."""
    return name in SUM_TYPES and launcher.kernels(f"add_elements_{name}") is not None


def add_by_atomics(name: str, arrays: list[int], indices: list[Any], way: list[Any], count: int) -> None:
    """In whatever order the threads come."""
    launcher.launch(f"add_elements_{name}", count, [*arrays, *indices, *way, count])


def add_in_order(name: str, arrays: list[int], indices: list[Any], way: list[Any], count: int) -> None:
    """For each place in the order of the values, one after the other: the same bits every time."""
    targets = cupy.empty(count, cupy.int64)
    launcher.launch("find_targets", count, [targets.data.ptr, *indices, *way, count])
    order = cupy.argsort(targets, kind="stable").astype(cupy.int64, copy=False)
    targets = targets[order]
    given = [*arrays, targets.data.ptr, order.data.ptr, way[0], count]
    launcher.launch(f"add_sorted_{name}", count, given)


@lru_cache
def sum_dtype(dtype: Any) -> Any:
    return cupy.dtype(SUMMED_IN.get(dtype.name, dtype.name))


def fitting(values: Any, target: Any) -> Any:
    """The values as they are, if a kernel adds such to sums in the target's dtype; else cast to that."""
    as_they_are = dtype_name(values) in C_TYPES and sum_dtype(values.dtype) == target.dtype
    return values if as_they_are else values.astype(target.dtype, copy=False)


def add_at(target: Any, index: Any, values: Any) -> None:
    """Add at indices, as often as they occur; complex numbers part by part."""
    if target.dtype.kind == "c":
        values = values.astype(target.dtype, copy=False)
        add_at(target.real, index, values.real)
        add_at(target.imag, index, values.imag)
        return
    in_rows = target.flags.c_contiguous
    sums = target.astype(sum_dtype(target.dtype), order="C", copy=not in_rows)
    values = fitting(values, sums)
    if not add(places_of(sums, index), values):
        # CuPy adds no 64-bit integers but those without sign; the bits are the same.
        seen = sums.view(cupy.uint64) if sums.dtype == cupy.int64 else sums
        cupy.add.at(seen, index, values.astype(seen.dtype, copy=False))
    if sums is not target:
        target[...] = sums.astype(target.dtype, copy=False)


def embedding_grad(g: Any, index: Any, size: int) -> Any:
    """Rows of `g` added up by the row of the table that they came from."""
    sums = cupy.zeros((size, *g.shape[index.ndim :]), sum_dtype(g.dtype))
    add_at(sums, index, g)
    return sums.astype(g.dtype, copy=False)


def scatter_add_or(generic: Kernel) -> Kernel:
    """The kernel that adds along a dim; the generic one knows complex numbers, and ones without dims."""

    def scatter_add(x: Any, index: Any, src: Any, dim: int) -> Any:
        if x.dtype.kind == "c" or not x.ndim == index.ndim == src.ndim > 0:
            return generic(x, index, src, dim)
        sums = x.astype(sum_dtype(x.dtype), order="C")
        part = src if src.shape == index.shape else src[tuple(slice(size) for size in index.shape)]
        if not add(places_along(sums, index, dim), fitting(part, sums)):
            return generic(x, index, src, dim)
        return sums.astype(x.dtype, copy=False)

    return scatter_add


def kernels(scatter_add: Kernel) -> dict[str, Kernel]:
    """Every kernel by its op's name; `scatter_add` is the generic one."""
    return {"scatter_add": scatter_add_or(scatter_add), "embedding_grad": embedding_grad}
