"""A kernel's case, and how it is run on any Runtime: HostSim here, a device where there is one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from devtensor_cupy.compile import SOURCES
from devtensor_cupy.compile.multi_tensor import pack_table
from devtensor_cupy.compile.registry import Source
from devtensor_cupy.compile.runtime import Runtime

GUARD = 256
"""Bytes before and after every array, which no kernel may write."""
POISON, PLAIN = 0xFF, 0x3E
"""What the guards hold: NaN, which shows what is read from there, or numbers below 2, which show writes."""


@dataclass(frozen=True)
class Table:
    """Tensors for a multi-tensor kernel: lists of arrays, all lists of the same sizes but for step counts."""

    lists: list[list[np.ndarray]]
    chunk: int

    def content(self, addresses: list[list[int]]) -> bytes:
        return pack_table(addresses, self.sizes(), self.chunk)[0]

    def sizes(self) -> list[int]:
        return [tensor.size for tensor in self.lists[0]]


@dataclass
class Case:
    """A launch and what must lie where after it; a `tolerance` of None asks for the very bits."""

    name: str
    entry: str
    values: list[Any]
    work: int
    expected: list[tuple[np.ndarray, np.ndarray]]
    tolerance: float | None = None
    size: float = 1.0


class Held:
    """Arrays on a runtime, each between guards, by identity."""

    def __init__(self, runtime: Runtime, stream: Any, guard: int) -> None:
        self.runtime, self.stream, self.guard = runtime, stream, guard
        self.places: dict[int, tuple[np.ndarray, int]] = {}

    def address(self, array: np.ndarray) -> int:
        """Where the array lies on the device; it is brought there the first time."""
        if id(array) not in self.places:
            whole = np.full(array.nbytes + 2 * GUARD, self.guard, np.uint8)
            whole[GUARD : GUARD + array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            address = self.runtime.allocate(whole.size)
            self.runtime.upload(address, whole.data, self.stream)
            self.places[id(array)] = array, address
        return self.places[id(array)][1] + GUARD

    def back(self, array: np.ndarray) -> np.ndarray:
        """What the array has become.

        Errors: AssertionError if a guard was written.
        """
        _, address = self.places[id(array)]
        whole = np.empty(array.nbytes + 2 * GUARD, np.uint8)
        self.runtime.download(whole.data, address, self.stream)
        inside, guards = whole[GUARD:-GUARD], np.concatenate([whole[:GUARD], whole[-GUARD:]])
        assert (guards == self.guard).all(), "written outside of the array"
        return inside.view(array.dtype).reshape(array.shape).copy()

    def arrays(self) -> Iterable[np.ndarray]:
        return [array for array, _ in self.places.values()]

    def free(self) -> None:
        for _, address in self.places.values():
            self.runtime.free(address)


def argument(held: Held, value: Any) -> Any:
    """A value as the launch takes it."""
    if isinstance(value, Table):
        lists = [[held.address(tensor) for tensor in tensors] for tensors in value.lists]
        return held.address(np.frombuffer(value.content(lists), np.int64))
    return held.address(value) if isinstance(value, np.ndarray) else value


def check(
    case: Case,
    runtime: Runtime,
    source: Source | None = None,
    blocks: int | None = None,
    guard: int = POISON,
) -> list[bytes]:
    """Run a case and compare; gives the bits of its results. What has no expectation must not change."""
    home = source or SOURCES.of(case.entry)
    stream = runtime.stream()
    held = Held(runtime, stream, guard)
    values = [argument(held, value) for value in case.values]
    count = blocks or home.entries[case.entry].launch.blocks(case.work)
    runtime.launch(runtime.load(home), case.entry, count, values, stream)
    wanted = {id(array): result for array, result in case.expected}
    bits = []
    for array in held.arrays():
        got = held.back(array)
        if id(array) in wanted:
            compare(got, wanted[id(array)], case)
            bits.append(got.tobytes())
        else:
            assert got.tobytes() == array.tobytes(), f"{case.name}: an input was changed"
    held.free()
    return bits


def compare(got: np.ndarray, wanted: np.ndarray, case: Case) -> None:
    """Equal bit for bit, NaN for NaN; or as near as the case says, relative to `size` at least."""
    if case.tolerance is None:
        raw = np.dtype(f"u{got.dtype.itemsize}")
        same = got.view(raw) == wanted.astype(got.dtype).view(raw)
        if got.dtype.kind not in "iu":
            same |= np.isnan(got) & np.isnan(wanted)
        assert same.all(), f"{case.name}: {got[~same][:4]} for {wanted[~same][:4]}"
        return
    wide = got.astype(np.float64)
    np.testing.assert_allclose(
        wide, wanted.astype(np.float64), case.tolerance, case.tolerance * case.size, err_msg=case.name
    )
