"""trace(fn, *specs): the same layer over the meta backend, so that a graph is made without a number
computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.device import Device, resolve
from devtensor.core.dtype import DType, as_dtype, float32
from devtensor.core.errors import GraphError, TraceError
from devtensor.core.op import Op
from devtensor.core.tensor import Storage, Tensor, View, describe, storage_of, wrap
from devtensor.graph.ir import Graph
from devtensor.graph.listen import Capture, Outside
from devtensor.graph.meta import MetaArray, standing_for
from devtensor.graph.replay import fed
from devtensor.graph.run import Runner
from devtensor.graph.tree import flatten, unflatten


class TensorSpec:
    """What an argument of a traced function will be: shape, dtype and device."""

    def __init__(self, shape: Any, dtype: DType | str = float32, device: Any = None) -> None:
        self.shape = tuple(shape)
        self.dtype = as_dtype(dtype)
        self.device = resolve(device)

    def __repr__(self) -> str:
        return f"TensorSpec({self.shape}, {self.dtype.name}, {str(self.device)!r})"


class Trace(Capture):
    """A capture in which every array is meta: tensors met from outside are replaced by twins without
    numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.twins: dict[Storage, Tensor] = {}
        self.originals: dict[int, Tensor] = {}

    def real(self, device: Device) -> Device:
        return getattr(device.backend, "target", None) or device

    def call(self, op: Op, inputs: tuple, params: tuple, below: Any) -> Any:
        inputs = tuple(self.twin(i) if isinstance(i, Tensor) else i for i in inputs)
        params = tuple(
            standing_for(p) if isinstance(p, Device) and not self._stands(p) else p for p in params
        )
        return super().call(op, inputs, params, below)

    def write(self, dst: Tensor, src: Tensor, below: Any) -> None:
        super().write(self.twin(dst), self.twin(src), below)

    def feed_device(self) -> Device:
        return standing_for(resolve("cpu"))

    @staticmethod
    def _stands(device: Device) -> bool:
        return getattr(device.backend, "target", None) is not None

    def twin(self, tensor: Tensor) -> Tensor:
        """The tensor itself if it is meta already, else one without numbers in its place."""
        if self._stands(tensor.kind.device):
            return tensor
        if tensor.requires_grad and tensor.node is not None:
            raise TraceError(
                f"[trace] {describe(tensor)} has history from outside; detach() it, or use capture()"
            )
        storage = storage_of(tensor)
        if storage not in self.twins:
            root = MetaArray(tuple(storage.root.shape))
            made = wrap(root, standing_for(tensor.kind.device).kind(tensor.kind.dtype))
            self.open_slot(storage_of(made), made)
            self.outside[-1] = Outside(storage)
            self.twins[storage] = made
        root_twin = self.twins[storage]
        seen = MetaArray(tuple(tensor.array.shape), tensor.kind.device.backend.strides_of(tensor.array))
        made = wrap(seen, root_twin.kind)
        made.alias = View(storage_of(root_twin), tensor.alias.chain, None)
        made.requires_grad = tensor.requires_grad
        return made


class TracedGraph:
    """A graph made by `trace`: prints, runs on arrays given, and reads memory outside where it stands."""

    def __init__(self, tracing: Trace, shape: Any, outs: list) -> None:
        self.graph = tracing.graph
        self._storages = list(tracing.twins)
        self._feeds = tracing.feeds
        self._shape = shape
        self._outs = outs
        self._runner = Runner(self.graph)

    def __str__(self) -> str:
        return str(self.graph)

    def run(self, *args: Any) -> Any:
        """The function's result for these tensors, which must be as the specs said.

        Errors: GraphError naming the argument that differs.
        """
        given: list = []
        flatten(args, given)
        tensors = [g for g in given if isinstance(g, Tensor)]
        if len(tensors) != len(self.graph.inputs):
            raise GraphError(
                f"[graph.run] got {len(tensors)} tensors; the graph has {len(self.graph.inputs)} inputs"
            )
        arrays: dict[int, Any] = {}
        for slot, tensor in zip(self.graph.inputs, tensors, strict=True):
            value = slot.value
            if tuple(tensor.array.shape) != value.shape or tensor.kind is not value.device.kind(value.dtype):
                raise GraphError(
                    f"[graph.run] {slot.name} is {describe(tensor)}; the graph was built for {value.typed()}"
                )
            arrays[value.id] = tensor.array
        for slot, storage in zip(self.graph.slots, self._storages, strict=True):
            arrays[slot.value.id] = storage.root
        for value, getter in zip(self.graph.feeds, self._feeds, strict=True):
            arrays[value.id] = fed(value, getter())
        self._runner.run(arrays)
        values = iter(self.graph.outputs)
        outs = [self._result(arrays, next(values)) if isinstance(o, Tensor) else o for o in self._outs]
        return unflatten(self._shape, outs)

    def _result(self, arrays: dict[int, Any], value: Any) -> Tensor:
        kernels = value.device.backend.kernels
        return wrap(kernels["copy"](arrays[value.id]), value.device.kind(value.dtype))


def trace(function: Callable, *specs: Any) -> TracedGraph:
    """The graph of a function, made without running it on numbers.

    `specs` stand for the arguments: TensorSpecs, Tensors (only what they are is used), nested, or plain
    values.
    Parameters that the function reaches are read where they stand. What it writes into them is refused:
    `capture` serves whole training steps.

    Errors: TraceError for what a graph cannot hold, with the user's line.
    Example: `graph = devtensor.graph.trace(lambda x: x.exp().sum(), devtensor.graph.TensorSpec((2, 3)))`
    """
    tracing = Trace()
    leaves: list = []
    nest = flatten(specs, leaves)
    given = []
    for place, leaf in enumerate(leaves):
        if isinstance(leaf, (TensorSpec, Tensor)):
            array = MetaArray(tuple(leaf.shape))
            leaf = wrap(array, standing_for(leaf.device).kind(leaf.dtype))
            tracing.add_input(leaf, place)
        given.append(leaf)
    with tracing:
        result = function(*unflatten(nest, given))
        outs: list = []
        shape = flatten(result, outs)
        outs = [tracing.twin(o) if isinstance(o, Tensor) else o for o in outs]
        tracing.finish([o for o in outs if isinstance(o, Tensor)])
    refuse_effects(tracing.graph)
    return TracedGraph(tracing, shape, outs)


def refuse_effects(graph: Graph) -> None:
    """Refuse a graph that does more than give a result.

    Errors: TraceError naming what it writes.
    """
    if graph.written() or graph.binds:
        names = [slot.name for slot in graph.written()] + [name for name, _ in graph.binds]
        raise TraceError(
            f"[trace] the function writes into memory outside or into its arguments ({', '.join(names)}); "
            "write into a clone(), or use capture(), which serves whole training steps"
        )
