"""The kernel that combines values at indices, however often an index occurs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.backend.arraylib.index import scattered
from devtensor.backend.arraylib.library import Library, is_floating
from devtensor.backend.protocol import Array, Kernel


def kernels(lib: Library) -> dict[str, Kernel]:
    """The combining part of the table."""
    return lib.bind(FUNCTIONS)


def scatter_reduce(
    lib: Library, x: Array, index: Array, src: Array, dim: int, reduce: str, include_self: bool
) -> Array:
    result = x.copy()
    if not index.size:
        return result
    flat, places, part = scattered(lib, result, index, src, dim)
    if not include_self:
        flat[places] = neutral(x, reduce)
    if reduce in ("sum", "mean"):
        lib.add_at(flat, places, part)
        if reduce == "mean" and x.dtype.kind != "b":
            return divided(lib, result, counts(lib, flat, places, part, include_self).reshape(x.shape))
        return result
    function = {"prod": lib.xp.multiply, "amax": lib.xp.maximum, "amin": lib.xp.minimum}[reduce]
    combine_at(lib, function, flat, places, part)
    return result


def neutral(x: Array, reduce: str) -> Any:
    """The number that changes nothing."""
    if reduce not in ("amax", "amin"):
        return 1 if reduce == "prod" else 0
    highest = reduce == "amin"
    if x.dtype.kind in "iu":
        bits = 8 * x.dtype.itemsize - (x.dtype.kind == "i")
        return 2**bits - 1 if highest else -(2**bits) * (x.dtype.kind == "i")
    if is_floating(x):
        return float("inf") if highest else float("-inf")
    return highest


def counts(lib: Library, flat: Array, places: tuple[Array, ...], part: Array, include_self: bool) -> Array:
    """How many values met at each place, at least 1."""
    int64 = lib.dtypes["int64"]
    found = lib.xp.zeros(flat.shape, int64)
    lib.add_at(found, places, lib.xp.zeros(part.shape, int64) + 1)
    return found + 1 if include_self else lib.xp.maximum(found, lib.xp.asarray(1))


def divided(lib: Library, total: Array, count: Array) -> Array:
    """The mean in the dtype of the total, rounded down for integers."""
    if is_floating(total) or total.dtype.kind == "c":
        return (total / count.astype(total.dtype)).astype(total.dtype, copy=False)
    return lib.xp.floor_divide(total, count).astype(total.dtype)


def combine_at(
    lib: Library, function: Callable[..., Any], flat: Array, places: tuple[Array, ...], part: Array
) -> None:
    """Combine values into `flat` at places that may repeat.

    Values for one place are put side by side and combined in pairs, so that as many rounds are needed as the
    longest row of them can be halved; no library has to combine at an index by itself.
    """
    line = linear(lib, flat.shape, places, part.shape)
    order = lib.xp.argsort(line, kind="stable")
    line, values = line[order], part.reshape(-1)[order]
    while True:
        rank = lib.xp.arange(line.size) - lib.xp.searchsorted(line, line)
        second = lib.xp.nonzero(rank % 2 == 1)[0]
        if not second.size:
            break
        values[second - 1] = function(values[second - 1], values[second])
        first = lib.xp.nonzero(rank % 2 == 0)[0]
        line, values = line[first], values[first]
    whole = flat.reshape(-1)
    whole[line] = function(whole[line], values)
    flat[...] = whole.reshape(flat.shape)


def linear(lib: Library, shape: tuple[int, ...], places: tuple[Array, ...], wanted: tuple[int, ...]) -> Array:
    """For each value the number of its place in C order."""
    total = lib.xp.zeros(wanted, lib.dtypes["int64"])
    stride = 1
    for size, place in zip(reversed(shape), reversed(places), strict=True):
        total = total + place * stride
        stride *= size
    return total.reshape(-1)


FUNCTIONS: dict[str, Callable[..., Any]] = {"scatter_reduce": scatter_reduce}
