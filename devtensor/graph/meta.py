"""The device type "meta": shapes without numbers. Its kernels are the ops' own shape rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

from devtensor.core.device import Device
from devtensor.core.dtype import DTYPES
from devtensor.core.errors import DeviceError, Unsupported
from devtensor.core.op import OPS, Op
from devtensor.core.placement import ELEMENTWISE
from devtensor.core.spec import Spec, contiguous_strides, is_contiguous


class MetaArray:
    """An array without numbers: its shape and its strides in elements."""

    __slots__ = ("shape", "strides")

    def __init__(self, shape: tuple[int, ...], strides: tuple[int, ...] | None = None) -> None:
        self.shape = tuple(shape)
        self.strides = contiguous_strides(shape) if strides is None else strides

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def flags(self) -> Any:
        return SimpleNamespace(c_contiguous=is_contiguous(self.shape, self.strides))

    def __repr__(self) -> str:
        return f"MetaArray{self.shape}"


class MetaKernels(Mapping):
    """A kernel for every primitive, for the composites that `target` has kernels for, and without a target
    for elementwise ones."""

    def __init__(self, target: Device | None) -> None:
        self.target = target
        self._made: dict[str, Callable] = {}

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def __getitem__(self, name: str) -> Callable:
        if name == "write":
            return _write
        if name not in self._made:
            op = OPS[name]
            if op.composite and not self._is_whole(op):
                raise KeyError(name)
            self._made[name] = _kernel(op)
        return self._made[name]

    def _is_whole(self, op: Op) -> bool:
        """Whether a composite is one op here: where the target has a kernel, or the rules say all of it."""
        if self.target is None:
            return op.placement is ELEMENTWISE and not op.parameters
        return op.name in self.target.backend.kernels

    def __iter__(self) -> Iterator[str]:
        return iter(name for name in OPS if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return self.get(str(name)) is not None


def _write(dst: MetaArray, src: MetaArray) -> MetaArray:
    return dst


def _kernel(op: Op) -> Callable:
    """The op's shape rule as a kernel."""
    hidden = sum(
        1 for name in op.parameters if op.markers.get(name) is not None and op.markers[name].name == "Place"
    )
    count = len(op.parameters) - hidden

    def kernel(*args: Any) -> Any:
        split = len(args) - count
        arrays, params = args[:split], args[split:]
        if op.data_dependent:
            raise DeviceError(
                f"[{op.name}] the result's shape depends on numbers, which a meta tensor does not have"
            )
        specs = [None if a is None else Spec(a.shape, None, None, a.strides) for a in arrays]  # type: ignore[arg-type]
        result = op.shape_rule(op.name, specs, params)
        if op.view:
            return MetaArray(*result)
        shapes = result if isinstance(result, list) else [result]
        if op.name == "lay_out":
            strides = [params[0]]
        elif op.placement is None:
            strides = [contiguous_strides(shape) for shape in shapes]
        else:
            operands = [None if s is None else (s.shape, s.strides) for s in specs]
            strides = op.placement.rule(shapes, operands, params)
        made = tuple([MetaArray(*each) for each in zip(shapes, strides, strict=True)])
        return made if isinstance(result, list) else made[0]

    return kernel


class MetaBackend:
    """Serves the device type "meta"; with a target, it stands in for that device while a graph is traced."""

    name = "meta"
    dtypes = frozenset(DTYPES)

    def __init__(self, target: Device | None = None) -> None:
        self.target = target
        self.kernels = MetaKernels(target)
        self.amp_policy = getattr(target.backend, "amp_policy", "cuda") if target is not None else "cuda"
        self.wide_numbers = getattr(target.backend, "wide_numbers", {}) if target is not None else {}

    def device_count(self) -> int:
        return 1

    def on(self, index: int) -> AbstractContextManager:
        return nullcontext()

    def upload(self, host: memoryview, shape: tuple[int, ...], dtype: str, index: int) -> MetaArray:
        return MetaArray(shape)

    def download(self, array: MetaArray) -> memoryview:
        if self.target is not None:
            return memoryview(b"")
        raise Unsupported(
            "[meta] Cannot copy out of meta tensor; no data! Use .to_empty() to make it on a device"
        )

    def adopt(self, array: Any) -> MetaArray:
        return MetaArray(array.shape)

    def dtype_of(self, array: MetaArray) -> str:
        raise DeviceError("[meta] an array without numbers has no dtype of its own; ask the tensor")

    def strides_of(self, array: MetaArray) -> tuple[int, ...]:
        return array.strides

    def synchronize(self, index: int) -> None:
        return None

    def memory(self, index: int) -> Any:
        from devtensor.backend.protocol import MemoryStats

        return MemoryStats(0, 0, 0)


backend = MetaBackend()


def standing_for(target: Device) -> Device:
    """The meta device that stands for `target` while a graph is traced."""
    device = Device(f"meta({target.type})", target.index)
    if device._backend is None:
        device._backend = MetaBackend(target)
    return device


__all__ = ["MetaArray", "MetaBackend", "backend", "standing_for"]
