"""The Backend of a level: every kernel is the op itself, on the level below, with one dim more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from devtensor.batching.arrays import BatchedArray, counts
from devtensor.batching.images import IMAGES
from devtensor.batching.indexing import INDEXING
from devtensor.batching.rules import RULES, Rule, elementwise, one_by_one
from devtensor.core import transfer
from devtensor.core.device import Device
from devtensor.core.dispatch import call
from devtensor.core.dtype import DTYPES
from devtensor.core.errors import AutogradError
from devtensor.core.inplace import copy_into
from devtensor.core.op import OPS, Op
from devtensor.core.placement import ELEMENTWISE
from devtensor.core.spec import is_contiguous
from devtensor.core.tensor import Tensor, share, wrap


def rule_of(op: Op) -> Rule | None:
    """The rule for an op, None where nothing is better than its body, or than one example after the other."""
    for table in (RULES, INDEXING, IMAGES):
        if op.name in table:
            return table[op.name]
    return elementwise if op.placement is ELEMENTWISE else None


class BatchedKernels(Mapping):
    """A kernel for every primitive, and for the composites that go better whole than by their body."""

    def __init__(self, below: Device) -> None:
        self.below = below
        self._made: dict[str, Callable | None] = {"write": _write, "full": self._full}

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self._made:
            op = OPS[name]
            rule = rule_of(op)
            missing = rule is None and op.composite
            self._made[name] = None if missing else kernel_of(op, rule or one_by_one, self.below)
        found = self._made[name]
        return default if found is None else found

    def _full(self, shape: tuple[int, ...], value: Any, dtype: str) -> BatchedArray:
        """One for every example, since they may be written to."""
        active, depth = counts.get(), len(self.below.under)
        if len(active) > depth:
            shape = (active[depth], *shape)
        made = call(OPS["full"], (), (shape, value, DTYPES[dtype], self.below))
        return BatchedArray(made, len(active) > depth)

    def __getitem__(self, name: str) -> Callable:
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in OPS and self.get(str(name)) is not None

    def __iter__(self) -> Iterator[str]:
        return (name for name in OPS if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def kernel_of(op: Op, rule: Callable, below: Device) -> Callable:
    """The op on the level below."""
    markers = [getattr(op.markers.get(name), "name", "") for name in op.parameters]
    count = len(markers) - markers.count("Place")

    def kernel(*args: Any) -> Any:
        arrays, shown = args[: len(args) - count], iter(args[len(args) - count :])
        params = tuple(below if marker == "Place" else _typed(marker, next(shown)) for marker in markers)
        values = tuple(None if array is None else array.value for array in arrays)
        batched = [array is not None and array.batched for array in arrays]
        if not any(batched):
            return _wrapped(call(op, values, params), False)
        if op.data_dependent:
            raise AutogradError(
                f"[{op.name}] vmap cannot give results of another shape for every example; use where()"
            )
        return _wrapped(rule(op, values, batched, params), True)

    return kernel


def _typed(marker: str, value: Any) -> Any:
    return DTYPES[value] if marker == "Type" else value


def _wrapped(result: Any, batched: bool) -> Any:
    if isinstance(result, tuple):
        return tuple([BatchedArray(value, batched) for value in result])
    return BatchedArray(result, batched)


def _write(dst: BatchedArray, src: BatchedArray) -> BatchedArray:
    if src.batched and not dst.batched:
        raise AutogradError(
            f"[write] vmap: an in-place op would write {tuple(src.shape)}, which differs from example to "
            "example, into a tensor that is the same for all; make that with zeros_like or new_zeros"
        )
    source = src.value
    if src.batched and src.ndim < dst.ndim:
        source = call(OPS["getitem"], (source,), ((slice(None), *(None,) * (dst.ndim - src.ndim)),))
    copy_into(dst.value, source)
    return dst


class BatchedBackend:
    """Serves the levels over one device: tensors that hold many examples of what they show."""

    host_reads_are_free = False

    def __init__(self, below: Device) -> None:
        self.below = below
        self.target = below
        self.name = f"vmap({below.type})"
        self.dtypes = below.backend.dtypes
        self.amp_policy = getattr(below.backend, "amp_policy", "cuda")
        self.wide_numbers = getattr(below.backend, "wide_numbers", {})
        self.wide_bodies = getattr(below.backend, "wide_bodies", frozenset())
        self.kernels = BatchedKernels(below)

    def device_count(self) -> int:
        return 1

    def on(self, index: int) -> AbstractContextManager[Any]:
        return nullcontext()

    def lift(self, source: Tensor, device: Device) -> Tensor:
        """A tensor of a level below as one of this level: the same for all its examples."""
        below = device.under[0]
        value = source if source.kind.device is below else transfer.move(source, below)
        return wrap(BatchedArray(value, False), device.kind(source.kind.dtype))

    def constant(self, value: Any, dtype: str) -> BatchedArray:
        """A number, the same for all examples."""
        kind = self.below.kind(DTYPES[dtype])
        return BatchedArray(wrap(kind.constant(value), kind), False)

    def detached(self, source: Tensor) -> Tensor:
        """The tensor without history on any level."""
        below = self.below.backend
        value = source.array.value
        value = below.detached(value) if self.below.under else share(value)
        return wrap(BatchedArray(value, source.array.batched), source.kind)

    def upload(self, host: memoryview, shape: tuple[int, ...], dtype: str, index: int) -> BatchedArray:
        data = transfer.HostData(bytes(host), tuple(shape))
        return BatchedArray(transfer.upload(data, DTYPES[dtype], self.below), False)

    def download(self, array: BatchedArray) -> memoryview:
        if array.batched:
            raise AutogradError("[vmap] cannot read the numbers of many examples as those of one")
        return self.below.backend.download(array.value.array)

    def adopt(self, array: Any) -> Any:
        raise TypeError("[vmap] takes no arrays; make a tensor of it first")

    def dtype_of(self, array: BatchedArray) -> str:
        return array.value.kind.dtype.name

    def strides_of(self, array: BatchedArray) -> tuple[int, ...]:
        return array.strides

    def is_contiguous(self, array: BatchedArray) -> bool:
        return is_contiguous(array.shape, array.strides)

    def synchronize(self, index: int) -> None:
        self.below.backend.synchronize(self.below.index or 0)

    def memory(self, index: int) -> Any:
        return self.below.backend.memory(self.below.index or 0)
