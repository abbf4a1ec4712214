"""Kernels that read or write at indices, sort and search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.backend.arraylib.library import HALF_TYPES, Library, dtype_name
from devtensor.backend.arraylib.movement import along
from devtensor.backend.protocol import Array, Kernel

Places = tuple[int | None, ...]


def kernels(lib: Library) -> dict[str, Kernel]:
    """The indexing part of the table."""
    return lib.bind(FUNCTIONS)


def check_range(lib: Library, index: Array, size: int) -> None:
    """Raise on an index outside [0, size), where looking at values is free."""
    # Seen without a sign, negative indices are the largest: one pass finds either fault.
    if not lib.host or not index.size or index.view(lib.dtypes["uint64"]).max() < size:
        return
    low, high = int(index.min()), int(index.max())
    if low < 0 or high >= size:
        raise IndexError(f"index {low if low < 0 else high} is out of range for size {size}")


def check_places(lib: Library, index: Array, dim: int, size: int) -> None:
    """The same for ops in which an index says where a value of its own goes, whose callers expect another
    error."""
    try:
        check_range(lib, index, size)
    except IndexError:
        low, high = int(index.min()), int(index.max())
        bad = low if low < 0 else high
        raise ValueError(f"index {bad} is out of bounds for dimension {dim} with size {size}") from None


def index_select(lib: Library, x: Array, index: Array, dim: int) -> Array:
    if x.ndim == 0:
        return index_select(lib, x.reshape(1), index.reshape(-1), 0).reshape(())
    check_range(lib, index, x.shape[dim])
    return lib.xp.take(x, index.reshape(-1), axis=dim)


def gather(lib: Library, x: Array, index: Array, dim: int) -> Array:
    if x.ndim == 0:
        return gather(lib, x.reshape(1), index.reshape(-1), 0).reshape(index.shape)
    if not index.size:
        return lib.xp.empty(index.shape, x.dtype)
    check_places(lib, index, dim, x.shape[dim])
    if index.ndim == 0:
        return x[index.reshape(1)].reshape(())
    return x[element_positions(lib, index, dim)]


def scatter(lib: Library, x: Array, index: Array, src: Array, dim: int) -> Array:
    result = x.copy()
    if index.size:
        flat, places, part = scattered(lib, result, index, src, dim)
        flat[places] = part
    return result


def scatter_add(lib: Library, x: Array, index: Array, src: Array, dim: int) -> Array:
    result = x.copy()
    if index.size:
        lib.add_at(*scattered(lib, result, index, src, dim))
    return result


def scattered(
    lib: Library, result: Array, index: Array, src: Array, dim: int
) -> tuple[Array, tuple[Array, ...], Array]:
    """The result, the positions in it that `index` names, and the values for them; none is 0-d."""
    check_places(lib, index, dim, result.shape[dim] if result.ndim else 1)
    index = index.reshape(index.shape or (1,))
    part = part_for(index, src.reshape(src.shape or (1,)))
    return result.reshape(result.shape or (1,)), element_positions(lib, index, dim), part


def element_positions(lib: Library, index: Array, dim: int) -> tuple[Array, ...]:
    """For each dimension the position that an element of `index` speaks of: its own, its value in `dim`."""
    grids = []
    for d, size in enumerate(index.shape):
        if d == dim:
            grids.append(index)
            continue
        line = lib.xp.arange(size, dtype=lib.dtypes["int64"])
        grids.append(line.reshape((1,) * d + (size,) + (1,) * (index.ndim - d - 1)))
    return tuple(grids)


def part_for(index: Array, src: Array) -> Array:
    """The corner of `src` that `index` speaks of."""
    return src[tuple(slice(size) for size in index.shape)]


def embedding(lib: Library, weight: Array, index: Array) -> Array:
    check_range(lib, index, weight.shape[0])
    return lib.xp.take(weight, index, axis=0)


def embedding_grad(lib: Library, g: Array, index: Array, rows: int) -> Array:
    """Rows of `g` added up by the row of the table that they came from."""
    check_range(lib, index, rows)
    width = g.shape[index.ndim :]
    result = lib.xp.zeros((rows, *width), g.dtype)
    lib.add_at(result, index.reshape(-1), g.reshape(index.size, *width))
    return result


def split(arguments: tuple[Any, ...], places: Places) -> tuple[tuple[Any, ...], bool]:
    """Advanced index from index arrays and their places, and whether it has an array with a dimension."""
    full = tuple(slice(None) if place is None else arguments[place] for place in places)
    return full, any(place is not None and arguments[place].ndim for place in places)


def harmless(x: Array, indices: list[Array]) -> list[Array]:
    """The indices; zeros where nothing is there to be read or written, so that none is out of range."""
    return indices if x.size else [index * 0 for index in indices]


def index_get(lib: Library, x: Array, *arguments: Any) -> Array:
    *indices, places = arguments
    indices = harmless(x, indices)
    if len(indices) == 1:
        if indices[0].size and not x.shape[len(places) - 1]:
            raise IndexError("index is out of bounds for dimension with size 0")
        return lib.xp.asarray(lib.xp.take(x, indices[0], axis=len(places) - 1))
    index, advanced = split(tuple(indices), places)
    result = lib.xp.asarray(x[index])
    return result if advanced and result.flags.c_contiguous else result.copy()


def index_put(lib: Library, x: Array, value: Array, *arguments: Any, out: Any = None) -> Array:
    """`out`, which may be x itself, is changed where the indices say and nowhere else."""
    *indices, places, accumulate = arguments
    indices = harmless(x, indices)
    index, _ = split(tuple(indices), places)
    result = x.copy() if out is None else out
    if not value.size:
        lib.xp.broadcast_to(value, x[index].shape)
    if accumulate:
        lib.add_at(result, index, value)
    else:
        result[index] = value
    return result


def nonzero(lib: Library, x: Array) -> Array:
    """Positions of what is not zero, one a row; a 0-d input has positions without coordinates."""
    int64 = lib.dtypes["int64"]
    found = lib.xp.nonzero(x.reshape(x.shape or (1,)))
    if x.ndim == 1:
        return found[0].astype(int64, copy=False).reshape(-1, 1)
    if x.ndim == 0:
        return lib.xp.empty((found[0].size, 0), int64)
    return lib.xp.stack(found, axis=1).astype(int64, copy=False)


def sort(lib: Library, x: Array, dim: int, descending: bool) -> tuple[Array, Array]:
    """Stable in both directions: descending is the ascending order of the flipped input, flipped."""
    if x.ndim == 0:
        return x.copy(), lib.xp.zeros((), lib.dtypes["int64"])
    keys = x.astype(lib.dtypes["float32"]) if dtype_name(x) in HALF_TYPES else x
    back = along(x.ndim, dim, slice(None, None, -1))
    keys = keys[back] if descending else keys
    order = lib.xp.argsort(keys, axis=dim, kind="stable").astype(lib.dtypes["int64"], copy=False)
    if descending:
        order = (x.shape[dim] - 1 - order)[back].copy()
    return x[element_positions(lib, order, dim)], order


def unique(lib: Library, x: Array) -> tuple[Array, Array, Array]:
    """Sorted values without repetition; every NaN is one of its own."""
    int64 = lib.dtypes["int64"]
    keys = x.astype(lib.dtypes["float32"]) if dtype_name(x) in HALF_TYPES else x
    values, inverse, counts = lib.xp.unique(
        keys.reshape(-1), return_inverse=True, return_counts=True, equal_nan=False
    )
    return (
        values.astype(x.dtype, copy=False),
        inverse.reshape(x.shape).astype(int64, copy=False),
        counts.astype(int64, copy=False),
    )


def searchsorted(lib: Library, sorted: Array, values: Array, right: bool) -> Array:
    """Where `values` belong in the last dimension of `sorted`; both have the same dimensions before it."""
    side = "right" if right else "left"
    int64 = lib.dtypes["int64"]
    if sorted.ndim == 1:
        return lib.xp.asarray(lib.xp.searchsorted(sorted, values, side=side)).astype(int64)
    if not values.size or not sorted.size:
        return lib.xp.zeros(values.shape, int64)
    lines = sorted.reshape(-1, sorted.shape[-1])
    wanted = values.reshape(lines.shape[0], -1)
    result = lib.xp.empty(wanted.shape, int64)
    for k in range(lines.shape[0]):
        result[k] = lib.xp.searchsorted(lines[k], wanted[k], side=side)
    return result.reshape(values.shape)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "index_select": index_select,
    "gather": gather,
    "scatter": scatter,
    "scatter_add": scatter_add,
    "embedding": embedding,
    "embedding_grad": embedding_grad,
    "index_get": index_get,
    "index_put": index_put,
    "nonzero": nonzero,
    "sort": sort,
    "unique": unique,
    "searchsorted": searchsorted,
}
