"""Cases of the kernels that add values at places that indices name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cuda_sources.running import Case
from cuda_sources.tensor_cases import DTYPES, draw
from devtensor_cupy.compile.scatter import SUM_TYPES
from devtensor_cupy.compile.walks import Axes, Walk, axes, steps_of, walk

NEAR = {"float64": 1e-13, "int32": None, "int64": None}
MOST = 6


@dataclass(frozen=True)
class Scattering:
    """Values of a shape, and for each dim of their target the indices along it, or which of their own dims
    goes along it."""

    name: str
    target: tuple[int, ...]
    shape: tuple[int, ...]
    along: tuple[np.ndarray | int, ...]


def index(size: int, *shape: int, seed: int = 3) -> np.ndarray:
    """Places that occur often, of which some count from the end."""
    return np.random.default_rng(seed).integers(-size, size, shape)


def scatterings() -> Iterator[Scattering]:
    rows = index(6, 90, 1)
    rows[[0, 40, 89], 0] = -7, 6, -8
    yield Scattering("rows", (6, 5), (90, 5), (rows, 1))
    apart = index(3, 4, 1, 1, seed=1), index(4, 30, 1, seed=2)
    apart[1][[5, 17]] = [[-5], [4]]
    yield Scattering("two indices apart", (3, 2, 4), (4, 30, 2), (apart[0], 2, apart[1]))
    yield Scattering("along a dim", (3, 4, 5), (3, 7, 5), (0, index(4, 3, 7, 5), 2))
    yield Scattering("six indices", (2,) * MOST, (70,), tuple(index(2, 70, seed=k) for k in range(MOST)))
    yield Scattering("one number", (3,), (), (np.array(-1),))


def given_to_kernels(given: Scattering, sums: np.ndarray, values: np.ndarray) -> tuple[list, Walk, Axes]:
    """The arrays of indices, and the structures that tell the kernels of their places."""
    own, mine = steps_of(sums), [0] * len(given.shape)
    for step, along in zip(own, given.along, strict=True):
        if isinstance(along, int):
            mine[along] = step
    named = [d for d, along in enumerate(given.along) if not isinstance(along, int)]
    indices = [along for along in given.along if not isinstance(along, int)]
    spread = [steps_of(np.broadcast_to(each, given.shape)) for each in indices]
    way = walk(given.shape, (tuple(mine), steps_of(values), *spread))
    assert way is not None
    dims = axes(tuple(sums.shape[d] for d in named), tuple(own[d] for d in named))
    return [*indices, *[None] * (MOST - len(indices))], way, dims


def targets_of(given: Scattering) -> np.ndarray:
    """For each value the number of its place, or -1."""
    numbers, inside = np.full(given.shape, 0), np.full(given.shape, True)
    for size, along in zip(given.target, given.along, strict=True):
        place = np.indices(given.shape)[along] if isinstance(along, int) else along
        inside &= (place >= -size) & (place < size)
        numbers = numbers * size + place % size
    return np.where(inside, numbers, -1).reshape(-1)


def sums_dtype(dtype: str) -> type:
    return {"float64": np.float64, "int32": np.int32, "int64": np.int64}.get(dtype, np.float32)


def drawn(dtype: str, *shape: int) -> np.ndarray:
    if dtype in DTYPES:
        return draw(dtype, *shape, seed=1)
    return np.random.default_rng(1).integers(-(2**31), 2**31, shape).astype(dtype)


def adding_cases(given: Scattering, dtype: str) -> Iterator[Case]:
    """By atomics, and in order, whose bits are those of NumPy's additions one after the other."""
    values, sums = drawn(dtype, *given.shape), np.ones(given.target, sums_dtype(dtype))
    targets, flat = targets_of(given), values.reshape(-1)
    kept = targets >= 0
    wanted = np.ones(sums.size, np.float64 if dtype in DTYPES else sums.dtype)
    np.add.at(wanted, targets[kept], flat[kept].astype(wanted.dtype))
    indices, way, dims = given_to_kernels(given, sums, values)
    arguments = [sums, values, *indices, way, dims, flat.size]
    entry, near = f"add_elements_{dtype}", NEAR.get(dtype, 2e-6)
    expected = [(sums, wanted.reshape(sums.shape))]
    yield Case(f"{entry} {given.name}", entry, arguments, flat.size, expected, near, 4.0)
    order = np.argsort(targets, kind="stable")
    exact = np.ones(sums.size, sums.dtype)
    np.add.at(exact, targets[kept], flat[kept].astype(exact.dtype))
    entry, arguments = f"add_sorted_{dtype}", [sums, values, targets[order], order, way, flat.size]
    expected = [(sums, exact.reshape(sums.shape))]
    yield Case(f"{entry} {given.name}", entry, arguments, flat.size, expected)


def finding_case(given: Scattering) -> Case:
    found, targets = np.zeros(int(np.prod(given.shape)), np.int64), targets_of(given)
    sums, values = np.ones(given.target), np.ones(given.shape)
    indices, way, dims = given_to_kernels(given, sums, values)
    name = f"find_targets {given.name}"
    return Case(
        name, "find_targets", [found, *indices, way, dims, found.size], found.size, [(found, targets)]
    )


def cases() -> Iterator[Case]:
    """All of them."""
    for given in scatterings():
        yield finding_case(given)
        for dtype in SUM_TYPES:
            yield from adding_cases(given, dtype)
