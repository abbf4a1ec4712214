"""Views, and the kernels that only move values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from devtensor.backend.arraylib.library import Library
from devtensor.backend.protocol import Array, Kernel

Index = tuple[Any, ...]
Chain = tuple[tuple[str, tuple[Any, ...]], ...]


def kernels(lib: Library) -> dict[str, Kernel]:
    """The moving part of the table."""
    return lib.bind(VIEWS | MOVES)


def along(ndim: int, dim: int, part: Any) -> Index:
    """Index that takes `part` of dimension `dim` and all of the others."""
    return (*(slice(None),) * dim, part, *(slice(None),) * (ndim - dim - 1))


def reshape(lib: Library, x: Array, shape: tuple[int, ...]) -> Array:
    result = x.reshape(shape)
    if not x.flags.c_contiguous and x.size and not lib.xp.may_share_memory(x, result):
        raise ValueError(f"shape {x.shape} with strides {x.strides} cannot be seen as {shape} without a copy")
    return result


def permute(lib: Library, x: Array, dims: tuple[int, ...]) -> Array:
    return x.transpose(dims)


def expand(lib: Library, x: Array, shape: tuple[int, ...]) -> Array:
    """Broadcast view by strides of 0; a library's own may be read-only, this one can be written with care."""
    added = len(shape) - x.ndim
    fits = added >= 0 and all(n in (1, wanted) for n, wanted in zip(x.shape, shape[added:], strict=True))
    if not fits:
        raise ValueError(f"shape {x.shape} cannot be expanded to {shape}")
    strides = [0 if n == 1 else stride for n, stride in zip(x.shape, x.strides, strict=True)]
    return lib.xp.lib.stride_tricks.as_strided(x, shape, (*(0,) * added, *strides))


def getitem(lib: Library, x: Array, index: Index) -> Array:
    """Basic indexing; the Ellipsis keeps a 0-d result a view, where NumPy would give a scalar."""
    if not any(part is Ellipsis for part in index):
        index = (*index, Ellipsis)
    return x[index]


def unfold(lib: Library, x: Array, dim: int, size: int, step: int, dilation: int) -> Array:
    """Windows along `dim`, the position inside the window as a last dimension."""
    count = (x.shape[dim] - dilation * (size - 1) - 1) // step + 1
    stride = x.strides[dim]
    shape = (*x.shape[:dim], count, *x.shape[dim + 1 :], size)
    strides = (*x.strides[:dim], stride * step, *x.strides[dim + 1 :], stride * dilation)
    return lib.xp.lib.stride_tricks.as_strided(x, shape, strides)


def diagonal(lib: Library, x: Array, offset: int, dim1: int, dim2: int) -> Array:
    """The diagonal as a last dimension; a writable view, which NumPy's own is not."""
    first, skipped = (dim2, offset) if offset >= 0 else (dim1, -offset)
    part = x[along(x.ndim, first, slice(skipped, None))]
    length = min(part.shape[dim1], part.shape[dim2])
    others = [d for d in range(x.ndim) if d not in (dim1, dim2)]
    shape = (*(x.shape[d] for d in others), length)
    strides = (*(x.strides[d] for d in others), x.strides[dim1] + x.strides[dim2])
    return lib.xp.lib.stride_tricks.as_strided(part, shape, strides)


VIEWS: dict[str, Callable[..., Any]] = {
    "reshape": reshape,
    "permute": permute,
    "expand": expand,
    "getitem": getitem,
    "unfold": unfold,
    "diagonal": diagonal,
}


def overwrite(lib: Library, root: Array, src: Array, chain: Chain) -> Array:
    """Copy of `root` in which the view that `chain` reaches holds `src`."""
    result = root.copy()
    view = result
    for name, params in chain:
        if name == "reshape" and not view.flags.c_contiguous:
            return overwrite_by_position(lib, root, src, chain)
        view = VIEWS[name](lib, view, *params)
    view[...] = src
    return result


def overwrite_by_position(lib: Library, root: Array, src: Array, chain: Chain) -> Array:
    """The same where a link of the chain would copy: it is applied to the elements' positions instead."""
    positions = lib.xp.arange(root.size, dtype=lib.dtypes["int64"]).reshape(root.shape)
    for name, params in chain:
        moves = positions.reshape if name == "reshape" else partial(VIEWS[name], lib, positions)
        positions = moves(*params)
    result = root.reshape(-1).copy()
    result[positions.reshape(-1)] = lib.xp.broadcast_to(src, positions.shape).reshape(-1)
    return result.reshape(root.shape)


def flip(lib: Library, x: Array, dims: tuple[int, ...]) -> Array:
    return lib.xp.flip(x, dims).copy()


def cat(lib: Library, *arguments: Any) -> Array:
    *arrays, dim = arguments
    return lib.xp.concatenate(arrays, axis=dim)


def pad(lib: Library, x: Array, widths: tuple[tuple[int, int], ...], value: float) -> Array:
    """Constant padding of every dimension; a negative width crops."""
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))
    result = lib.xp.empty(shape, x.dtype)
    result.fill(value)
    inside = tuple(slice(max(b, 0), n - max(a, 0)) for n, (b, a) in zip(shape, widths, strict=True))
    taken = tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape, widths, strict=True))
    result[inside] = x[taken]
    return result


def fold(lib: Library, g: Array, size: int, dim: int, step: int, dilation: int) -> Array:
    """Adjoint of `unfold`: windows added back to where they were taken from."""
    count, window = g.shape[dim], g.shape[-1]
    result = lib.xp.zeros((*g.shape[:dim], size, *g.shape[dim + 1 : -1]), g.dtype)
    reach = step * (count - 1) + 1
    for k in range(window if count else 0):
        result[along(result.ndim, dim, slice(k * dilation, k * dilation + reach, step))] += g[..., k]
    return result


def roll(lib: Library, x: Array, shifts: tuple[int, ...], dims: tuple[int, ...]) -> Array:
    return lib.xp.roll(x, shifts, dims)


def tril(lib: Library, x: Array, diagonal: int) -> Array:
    return lib.xp.tril(x, diagonal)


def triu(lib: Library, x: Array, diagonal: int) -> Array:
    return lib.xp.triu(x, diagonal)


MOVES: dict[str, Callable[..., Any]] = {
    "overwrite": overwrite,
    "flip": flip,
    "cat": cat,
    "pad": pad,
    "fold": fold,
    "roll": roll,
    "tril": tril,
    "triu": triu,
}
