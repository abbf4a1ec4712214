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


def restrided(lib: Library, x: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """x's memory by other strides; as bytes where the library's own function does not know the dtype."""
    as_strided = lib.xp.lib.stride_tricks.as_strided
    if x.dtype.itemsize == 1 and x.dtype.kind not in "biu":
        return as_strided(x.view(lib.dtypes["uint8"]), shape, strides).view(x.dtype)
    return as_strided(x, shape, strides)


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
    return restrided(lib, x, shape, (*(0,) * added, *strides))


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
    return restrided(lib, x, shape, strides)


def diagonal(lib: Library, x: Array, offset: int, dim1: int, dim2: int) -> Array:
    """The diagonal as a last dimension; a writable view, which NumPy's own is not."""
    first, skipped = (dim2, offset) if offset >= 0 else (dim1, -offset)
    part = x[along(x.ndim, first, slice(skipped, None))]
    length = min(part.shape[dim1], part.shape[dim2])
    others = [d for d in range(x.ndim) if d not in (dim1, dim2)]
    shape = (*(x.shape[d] for d in others), length)
    strides = (*(x.strides[d] for d in others), x.strides[dim1] + x.strides[dim2])
    return restrided(lib, part, shape, strides)


def real(lib: Library, x: Array) -> Array:
    return x.real


def imag(lib: Library, x: Array) -> Array:
    return x.imag


def view_as_real(lib: Library, x: Array) -> Array:
    """Both parts of each number in a last dimension."""
    part = x.real
    return restrided(lib, part, (*x.shape, 2), (*x.strides, part.itemsize))


def view_as_complex(lib: Library, x: Array) -> Array:
    """Pairs that lie side by side as complex numbers."""
    wide = lib.dtypes["complex64" if x.dtype.itemsize == 4 else "complex128"]
    return x.view(wide)[(*(slice(None),) * (x.ndim - 1), 0, ...)]


def as_strided(
    lib: Library,
    x: Array,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    offset: int,
    layout: tuple[int, ...],
) -> Array:
    """The memory around x in any size and stride; `offset` counts from x's first element.

    An x that does not lie as `layout` says is first brought into memory that does.
    """
    item = x.dtype.itemsize
    view = partial(restrided, lib)
    if any(s != item * w for s, w, n in zip(x.strides, layout, x.shape, strict=True) if n > 1) and x.size:
        x = laid_out_for(lib, x, size, stride, offset, layout)
    # Steps forward or back to the wanted element, by a view of one dimension that reaches it.
    if offset > 0:
        x = view(x, (offset + 1,), (item,))[offset:]
    elif offset < 0:
        x = view(x, (1 - offset,), (-item,))[-offset:]
    return view(x, size, tuple(s * item for s in stride))


def span(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """How many elements of memory a view reaches over."""
    return 0 if 0 in shape else sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1


def laid_out(lib: Library, x: Array, strides: tuple[int, ...], least: int = 0, before: int = 0) -> Array:
    """A copy of x in fresh memory with these strides, and room for `least` elements from the first on."""
    memory = lib.xp.zeros((before + max(least, span(x.shape, strides)),), x.dtype)
    view = restrided(lib, memory[before:], x.shape, tuple(s * x.dtype.itemsize for s in strides))
    view[...] = x
    return view


def laid_out_for(
    lib: Library,
    x: Array,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    offset: int,
    layout: tuple[int, ...],
) -> Array:
    """A copy of x in its layout, with room for a view that `as_strided` takes of it."""
    return laid_out(lib, x, layout, max(0, offset) + span(size, stride), max(0, -offset))


def lay_out(lib: Library, x: Array, strides: tuple[int, ...]) -> Array:
    return laid_out(lib, x, strides)


def bits_as(lib: Library, x: Array, size: tuple[int, ...], stride: tuple[int, ...], dtype: str) -> Array:
    """The same bits as another dtype; numbers of that dtype lie in `size` and `stride`."""
    if not x.size:
        return lib.xp.zeros(size, lib.dtypes[dtype])
    return x.view(lib.dtypes[dtype])


VIEWS: dict[str, Callable[..., Any]] = {
    "as_strided": as_strided,
    "bits_as": bits_as,
    "real": real,
    "imag": imag,
    "view_as_real": view_as_real,
    "view_as_complex": view_as_complex,
    "reshape": reshape,
    "permute": permute,
    "expand": expand,
    "getitem": getitem,
    "unfold": unfold,
    "diagonal": diagonal,
}


def overwrite(lib: Library, root: Array, src: Array, chain: Chain) -> Array:
    """Copy of `root` in which the view that `chain` reaches holds `src`."""
    by_hand = bool(chain) and chain[0][0] == "as_strided"
    result = laid_out_for(lib, root, *chain[0][1]) if by_hand else root.copy()
    view = result
    for name, params in chain:
        if name == "reshape" and not view.flags.c_contiguous and not by_hand:
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
    # Of no dims a library may give a number, which nobody could write to.
    return lib.xp.asarray(lib.xp.flip(x, dims)).copy()


def cat(lib: Library, *arguments: Any) -> Array:
    *arrays, dim = arguments
    result = lib.xp.concatenate(arrays, axis=dim)
    return result if result.flags.c_contiguous else result.copy()


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
    return lib.xp.asarray(lib.xp.roll(x, shifts, dims), order="C")


def tril(lib: Library, x: Array, diagonal: int) -> Array:
    return lib.xp.asarray(lib.xp.tril(x, diagonal), order="C")


def triu(lib: Library, x: Array, diagonal: int) -> Array:
    return lib.xp.asarray(lib.xp.triu(x, diagonal), order="C")


MOVES: dict[str, Callable[..., Any]] = {
    "lay_out": lay_out,
    "overwrite": overwrite,
    "flip": flip,
    "cat": cat,
    "pad": pad,
    "fold": fold,
    "roll": roll,
    "tril": tril,
    "triu": triu,
}
