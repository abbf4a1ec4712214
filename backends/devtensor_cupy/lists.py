"""List ops by one launch over all tensors. A kernel that gives NotImplemented has done nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cupy

from devtensor.backend.protocol import Kernel
from devtensor_cupy.compile.multi_steps import CENTERED, DECOUPLED, MAXIMIZE, NESTEROV
from devtensor_cupy.compile.prelude import C_TYPES
from devtensor_cupy.launching import launcher
from devtensor_cupy.pinned import Pinned
from devtensor_cupy.tables import Arrays, Table, Tables

Numbers = tuple[list[float], float, int]
"""What a rule has of its own, the weight decay, and its flags."""


def sgd(momentum: float, dampening: float, weight_decay: float, nesterov: bool, maximize: bool) -> Numbers:
    return [momentum, dampening], weight_decay, NESTEROV * nesterov | MAXIMIZE * maximize


def adam(
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    amsgrad: bool,
    decoupled_weight_decay: bool,
    maximize: bool,
) -> Numbers:
    return [*betas, eps], weight_decay, DECOUPLED * decoupled_weight_decay | MAXIMIZE * maximize


def adagrad(lr_decay: float, eps: float, weight_decay: float, maximize: bool) -> Numbers:
    return [lr_decay, eps], weight_decay, MAXIMIZE * maximize


def rmsprop(
    alpha: float, eps: float, weight_decay: float, momentum: float, centered: bool, maximize: bool
) -> Numbers:
    return [alpha, eps, momentum], weight_decay, CENTERED * centered | MAXIMIZE * maximize


STEPS: dict[str, tuple[Callable[..., Numbers], int]] = {
    "sgd": (sgd, 3),
    "adam": (adam, 4),
    "adagrad": (adagrad, 3),
    "rmsprop": (rmsprop, 5),
}
"""The optimizers' steps: what their hyperparameters mean to the kernel, and which list holds step counts."""


class ListKernels:
    """The kernels of list ops of all CUDA devices, and the pointer tables that they share."""

    def __init__(self, pinned: Pinned) -> None:
        self.tables = Tables(pinned)

    def table(self) -> dict[str, Kernel]:
        """Every kernel by its op's name."""
        steps = {f"{rule}_step": self.step_of(rule, *told) for rule, told in STEPS.items()}
        return steps | {
            "unscale_all": self.unscale_all,
            "norm_of_all": self.norm_of_all,
            "clip_all": self.clip_all,
            "adapt_scale": adapt_scale,
        }

    def held(self) -> list[Any]:
        """What lies on devices: tables, and modules."""
        return [*self.tables.kept.values(), *launcher.loaded.values()]

    def unscale_all(self, gradients: Arrays, inverse: Any, found: Any) -> Any:
        """Multiply and look for what is not finite, in one pass."""
        if address_in("float32", inverse) is None or address_in("float32", found) is None:
            return NotImplemented
        return self.over("unscale", [gradients], [inverse.data.ptr, found.data.ptr])

    def norm_of_all(self, tensors: Arrays) -> Any:
        """Sums of squares by blocks, then their sum, both in float64."""
        entry = entry_for("square_sums", tensors)
        table = self.ready([entry, "norm_of_sums"], [tensors], writes=False)
        if table is None:
            return NotImplemented
        wide = tensors[0].dtype.name == "float64"
        sums = cupy.empty(max(table.blocks, 1), cupy.float64)
        norm = cupy.empty((), cupy.float64 if wide else cupy.float32)
        self.run(entry, table, [sums.data.ptr])
        places = (None, norm.data.ptr) if wide else (norm.data.ptr, None)
        launcher.launch("norm_of_sums", 1, [sums.data.ptr, table.blocks, *places])
        return norm

    def clip_all(self, gradients: Arrays, norm: Any, largest: float) -> Any:
        """Multiply by the ratio that each block works out."""
        places = [address_in("float32", norm), address_in("float64", norm)]
        if places == [None, None]:
            return NotImplemented
        return self.over("clip", [gradients], [*places, float(largest)])

    def step_of(self, rule: str, numbers_of: Callable[..., Numbers], counts: int) -> Kernel:
        """An optimizer's step: counts go up in one launch, the rest happens in another."""

        def step(*values: Any) -> Any:
            lists = [value for value in values if isinstance(value, list)]
            lr, found, scale, *told = values[len(lists) :]
            own, decay, flags = numbers_of(*told)
            entry = entry_for(rule, lists[0])
            needed = [entry, "steps_advance"] if lists[counts] else [entry]
            flag, factor = (address_in("float32", number) for number in (found, scale))
            lacking = (found is not None and flag is None) or (scale is not None and factor is None)
            table = None if lacking else self.ready(needed, lists)
            if table is None:
                return NotImplemented
            if lists[counts]:
                launcher.launch("steps_advance", table.tensors, [table.list_at(counts), table.tensors, flag])
            at, rate = rate_of(lr)
            place = None if at is None else at.data.ptr
            return self.run(entry, table, [place, rate, flag, factor, *own, decay, flags])

        return step

    def over(self, name: str, lists: Sequence[Arrays], values: Sequence[Any]) -> Any:
        """Launch a kernel over a table of lists."""
        entry = entry_for(name, lists[0])
        table = self.ready([entry], lists)
        return NotImplemented if table is None else self.run(entry, table, values)

    def ready(self, entries: Sequence[str], lists: Sequence[Arrays], writes: bool = True) -> Table | None:
        """The table, if these kernels can be launched over it."""
        if lists[0][0].dtype.name not in C_TYPES or any(launcher.kernels(entry) is None for entry in entries):
            return None
        return self.tables.of(lists, writes)

    def run(self, entry: str, table: Table, values: Sequence[Any]) -> None:
        """Launch a kernel over a table; arguments as before are not packed again."""
        if not table.blocks:
            return
        told = tuple(values)
        before, arguments = table.given.get(entry, (None, None))
        given = launcher.launch(
            entry, table.blocks, [table.address, *told], arguments if before == told else None
        )
        table.given[entry] = told, given


def adapt_scale(found: Arrays, scale: Any, tracker: Any, growth: float, backoff: float, interval: int) -> Any:
    """One thread does it; several flags are left to the body."""
    places = [address_in("float32", found[0]), address_in("float32", scale), address_in("int32", tracker)]
    if None in places or len(found) > 1 or launcher.kernels("scale_adapt") is None:
        return NotImplemented
    launcher.launch("scale_adapt", 1, [*places, growth, backoff, interval])
    return None


def entry_for(name: str, arrays: Arrays) -> str:
    """The kernel over tensors of the arrays' dtype."""
    return f"multi_{name}_{arrays[0].dtype.name}"


def address_in(dtype: str, number: Any) -> int | None:
    """Where a number lies, if it is an array of this dtype."""
    return number.data.ptr if getattr(getattr(number, "dtype", None), "name", "") == dtype else None


def rate_of(lr: Any) -> tuple[Any, float]:
    """A learning rate as an array of float64, or as a number: one of the two says it."""
    if hasattr(lr, "astype"):
        return lr.astype(cupy.float64, copy=False), 0.0
    return None, float(lr)
