"""List ops by one launch over all tensors. A kernel that gives NotImplemented has done nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cupy

from devtensor.backend.arraylib.library import dtype_name
from devtensor.backend.protocol import Kernel
from devtensor_cupy.compile.loss_scale import FLAGS
from devtensor_cupy.compile.prelude import C_TYPES
from devtensor_cupy.launching import entry_for, launcher
from devtensor_cupy.pinned import Pinned
from devtensor_cupy.steps import STEPS, Step
from devtensor_cupy.tables import Arrays, Table, Tables

LARGEST_HALF = 65504.0
FLOAT32, FLOAT64, INT32 = map(cupy.dtype, ("float32", "float64", "int32"))


class ListKernels:
    """The kernels of list ops of all CUDA devices, and the pointer tables that they share."""

    def __init__(self, pinned: Pinned) -> None:
        self.tables = Tables(pinned)

    def table(self) -> dict[str, Kernel]:
        """Every kernel by its op's name."""
        steps = {f"{rule}_step": self.step_of(rule, told) for rule, told in STEPS.items()}
        return steps | {
            "unscale_all": self.unscale_all,
            "norm_of_all": self.norm_of_all,
            "clip_all": self.clip_all,
            "clamp_all": self.clamp_all,
            "adapt_scale": adapt_scale,
        }

    def unscale_all(self, gradients: Arrays, inverse: Any, found: Any) -> Any:
        """Multiply and look for what is not finite, in one pass."""
        if address_in(FLOAT32, inverse) is None or address_in(FLOAT32, found) is None:
            return NotImplemented
        return self.over("unscale", [gradients], [inverse.data.ptr, found.data.ptr])

    def norm_of_all(self, tensors: Arrays, order: float) -> Any:
        """Parts by blocks, then what they make together, both in float64."""
        # No number stands for the least of nothing: the body says so.
        undefined = (order < 0 or order == math.inf) and not all(t.size for t in tensors)
        entry = entry_over("norm_parts", tensors)
        table = self.ready([entry, "norm_of_parts"], [tensors], writes=False)
        if table is None or undefined or math.isnan(order):
            return NotImplemented
        wide = tensors[0].dtype == FLOAT64
        parts = cupy.empty(max(table.blocks, 1), FLOAT64)
        norm = cupy.empty((), FLOAT64 if wide else FLOAT32)
        self.run(entry, table, [order, parts.data.ptr])
        places = (None, norm.data.ptr) if wide else (norm.data.ptr, None)
        launcher.launch("norm_of_parts", 1, [table.address, parts.data.ptr, order, *places])
        return norm

    def clip_all(self, gradients: Arrays, norm: Any, largest: float) -> Any:
        """Multiply by the ratio that each block works out."""
        places = [address_in(FLOAT32, norm), address_in(FLOAT64, norm)]
        if places == [None, None]:
            return NotImplemented
        return self.over("clip", [gradients], [*places, float(largest)])

    def clamp_all(self, gradients: Arrays, limit: float) -> Any:
        """Keep every element within the limits, if these are numbers of the dtype."""
        too_large = dtype_name(gradients[0]) == "float16" and LARGEST_HALF < abs(limit) < math.inf
        if too_large or math.isnan(limit):
            return NotImplemented
        return self.over("clamp", [gradients], [float(limit)])

    def step_of(self, rule: str, told: Step) -> Kernel:
        """An optimizer's step: one launch for all elements, and before or behind it one for the counts."""

        def step(*values: Any) -> Any:
            lists = [value for value in values if isinstance(value, list)]
            lr, found, scale, *hyperparameters = values[len(lists) :]
            own, decay, flags = told.numbers(hyperparameters)
            entry, counted = entry_over(rule, lists[0]), bool(lists[told.counts])
            flag, factor = (address_in(FLOAT32, number) for number in (found, scale))
            lacking = (found is not None and flag is None) or (scale is not None and factor is None)
            needed = [entry, told.advance] if counted else [entry]
            table = None if lacking else self.ready(needed, lists)
            if table is None:
                return NotImplemented
            at, rate = rate_of(lr)
            where = None if at is None else at.data.ptr
            launches = [(entry, table.blocks, [where, rate, flag, factor, *own, decay, flags])]
            if counted:
                counting = [told.counts, where, rate, flag, *(own[place] for place in told.tells)]
                launches.insert(told.behind, (told.advance, table.tensors, counting))
            for name, work, given in launches:
                self.run(name, table, given, work)
            return None

        return step

    def over(self, name: str, lists: Sequence[Arrays], values: Sequence[Any]) -> Any:
        """Launch a kernel over a table of lists."""
        entry = entry_over(name, lists[0])
        table = self.ready([entry], lists)
        return NotImplemented if table is None else self.run(entry, table, values)

    def ready(self, entries: Sequence[str], lists: Sequence[Arrays], writes: bool = True) -> Table | None:
        """The table, if these kernels can be launched over it."""
        known = dtype_name(lists[0][0]) in C_TYPES
        if not known or any(launcher.kernels(entry) is None for entry in entries):
            return None
        return self.tables.of(lists, writes)

    def run(self, entry: str, table: Table, values: Sequence[Any], work: int | None = None) -> None:
        """Launch a kernel over a table, for its blocks if no other `work` is named."""
        work = table.blocks if work is None else work
        if work:
            launcher.launch(entry, work, [table.address, *values])


def adapt_scale(found: Arrays, scale: Any, tracker: Any, growth: float, backoff: float, interval: int) -> Any:
    """One thread does it, from the flags where they lie."""
    flags = [address_in(FLOAT32, flag) for flag in found]
    places = [address_in(FLOAT32, scale), address_in(INT32, tracker)]
    if None in flags + places or len(flags) > FLAGS or launcher.kernels("scale_adapt") is None:
        return NotImplemented
    flags += [None] * (FLAGS - len(flags))
    launcher.launch("scale_adapt", 1, [*flags, *places, growth, backoff, interval])
    return None


def entry_over(name: str, arrays: Arrays) -> str:
    """The kernel over tensors of the arrays' dtype."""
    return entry_for(f"multi_{name}", arrays[0].dtype)


def address_in(dtype: Any, number: Any) -> int | None:
    """Where a number lies, if it is an array of this dtype."""
    found = getattr(number, "dtype", None)
    return number.data.ptr if found is not None and found == dtype else None


def rate_of(lr: Any) -> tuple[Any, float]:
    """A learning rate as an array of float64, or as a number: one of the two says it."""
    if hasattr(lr, "astype"):
        return lr.astype(FLOAT64, copy=False), 0.0
    return None, float(lr)
