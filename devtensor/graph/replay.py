"""Replaying an accepted capture in the memory that eager code sees."""

from __future__ import annotations

from typing import Any

from devtensor.core.device import Kind
from devtensor.core.inplace import replay as replay_views
from devtensor.core.state import replace
from devtensor.core.tensor import Storage, Tensor, storage_of, wrap
from devtensor.graph.ir import Graph, Value
from devtensor.graph.listen import Capture
from devtensor.graph.run import Runner
from devtensor.graph.tree import unflatten


class Replay:
    """A graph, the memory outside that it belongs to, and how to build what the function returns."""

    def __init__(self, capture: Capture, leaves: list, outs: list, shape: Any) -> None:
        self.graph: Graph = capture.graph
        self.outside = capture.outside
        self.feeds = capture.feeds
        self.depends = capture.depends
        self.shape = shape
        self.origins = origins(self.graph)
        self.chains = [t.alias.chain if isinstance(t, Tensor) and t.alias is not None else () for t in leaves]
        self.input_places = [int(slot.name.removeprefix("arg")) for slot in self.graph.inputs]
        self.whole = [
            place for slot, place in zip(self.graph.inputs, self.input_places, strict=True)
            if capture.table[storage_of(leaves[place])].prefix != self.chains[place]
        ]  # fmt: skip
        self.leaves = {name: leaf for leaf, name, _ in capture.leaves.values()}
        self.had_grad = {name: before is not None for _, name, before in capture.leaves.values()}
        for outside in self.outside:
            outside.tensors = [(ref, flag) for ref, flag in outside.tensors if ref() is not None]
        self.outs = self._plan_outputs(capture, leaves, outs)
        self.runner = Runner(self.graph, {plan[2][2].id for plan in self.outs if plan[0] == "made"})

    def _plan_outputs(self, capture: Capture, leaves: list, outs: list) -> list:
        """Per output: an argument itself, a view of memory outside, a new tensor, or a plain value."""
        values, plans = iter(self.graph.outputs), []
        for out in outs:
            if not isinstance(out, Tensor):
                plans.append(("plain", out, None, None))
                continue
            value = next(values)
            entry = capture.table[storage_of(out)]
            place = next((p for p, leaf in enumerate(leaves) if leaf is out), None)
            if place is not None:
                plans.append(("argument", place, None, None))
            elif entry.slot is not None:
                plans.append(("outside", entry.slot, out.alias.chain, out.kind))
            else:
                plans.append(("made", value, (id(storage_of(out)), out.alias.chain, entry.value), out.kind))
        return plans

    def holds(self, leaves: list) -> bool:
        """Whether everything the graph relied on is as it was: memory outside, gradients, Python state."""
        if any(getter() != value for getter, value in self.depends):
            return False
        for name, leaf in self.leaves.items():
            if (leaf.grad is not None) != self.had_grad[name]:
                return False
        for outside in self.outside:
            storage = outside.find()
            if storage is None or tuple(storage.root.shape) != outside.shape:
                return False
            for ref, requires_grad in outside.tensors:
                tensor = ref()
                moved = outside.leaf is None and (tensor is None or storage_of(tensor) is not storage)
                if moved or (tensor is not None and tensor.requires_grad != requires_grad):
                    return False
        return all(self._same_view(leaves, place) for place in self.whole)

    def _same_view(self, leaves: list, place: int) -> bool:
        alias = leaves[place].alias
        return (alias.chain if alias is not None else ()) == self.chains[place]

    def run(self, leaves: list) -> Any:
        """Compute, then write into slots and inputs, bind gradients, build the outputs."""
        before = replace(grad=False, layers=())
        try:
            arrays, storages = self._gather(leaves)
            self.runner.run(arrays)
            skipped = self._skipped(arrays)
            results = self._detach_results(arrays, skipped)
            self._write(storages, results, skipped)
            self._bind(results)
            return unflatten(self.shape, self._build(leaves, storages, results))
        finally:
            replace(grad=before.grad, layers=before.layers)

    def _gather(self, leaves: list) -> tuple[dict[int, Any], dict[int, Any]]:
        """Arrays by value id, and, per given value, the memory and array that a write goes into."""
        arrays: dict[int, Any] = {}
        storages: dict[int, tuple[Storage, Any]] = {}
        for slot, place in zip(self.graph.inputs, self.input_places, strict=True):
            tensor = leaves[place]
            storage = storage_of(tensor)
            array = storage.root if place in self.whole else tensor.array
            arrays[slot.value.id] = array
            storages[slot.value.id] = storage, array
        for slot, outside in zip(self.graph.slots, self.outside, strict=True):
            storage = outside.find()
            assert storage is not None, "holds() was asked first"
            arrays[slot.value.id] = storage.root
            storages[slot.value.id] = storage, storage.root
        for value, getter in zip(self.graph.feeds, self.feeds, strict=True):
            kind = value.device.kind(value.dtype)
            arrays[value.id] = kind.device.kernel("full", value.dtype)((), float(getter()), value.dtype.name)
        return arrays, storages

    def _skipped(self, arrays: dict[int, Any]) -> set[str]:
        """Slots that need no write, since a flag says that they stay, where reading the flag costs no
        waiting."""
        flags: dict[int, bool] = {}
        for slot in self.graph.written():
            flag = slot.unless
            if (
                flag is not None
                and flag.id not in flags
                and getattr(flag.device.backend, "host_reads_are_free", False)
            ):
                flags[flag.id] = any(flag.device.backend.download(arrays[flag.id]))
        return {slot.name for slot in self.graph.written() if slot.unless and flags.get(slot.unless.id)}

    def _detach_results(self, arrays: dict[int, Any], skipped: set[str]) -> dict[Any, Any]:
        """Results by what they are for; those that alias memory outside, or each other, are copied first."""
        wanted: list[tuple[Any, Any]] = [
            (("write", slot.name), slot.written) for slot in self.graph.written() if slot.name not in skipped
        ]
        wanted += [(("grad", name), value) for name, value in self.graph.binds if value is not None]
        made = {plan[2][0]: plan[2][2] for plan in self.outs if plan[0] == "made"}
        wanted += [(("made", key), value) for key, value in made.items()]
        results, taken = {}, set()
        for key, value in wanted:
            array = arrays[value.id]
            origin = self.origins[value.id]
            if origin in taken or origin in self.given:
                array = value.device.backend.kernels["copy"](array)
            taken.add(origin)
            results[key] = array
        return results

    @property
    def given(self) -> set[int]:
        return {value.id for value in self.graph.given()}

    def _write(self, storages: dict[int, Any], results: dict[Any, Any], skipped: set[str]) -> None:
        for slot in self.graph.written():
            if slot.name in skipped:
                continue
            storage, array = storages[slot.value.id]
            slot.value.device.kernel("write", slot.value.dtype)(array, results["write", slot.name])
            storage.version += slot.writes

    def _bind(self, results: dict[Any, Any]) -> None:
        """Leave new gradients on the leaves, as eager code does."""
        for name, value in self.graph.binds:
            leaf = self.leaves[name]
            leaf.grad = None if value is None else wrap(results["grad", name], leaf.kind)

    def _build(self, leaves: list, storages: dict[int, Any], results: dict[Any, Any]) -> list:
        """The function's results: outputs that shared memory share it again."""
        roots: dict[Any, Tensor] = {}
        built = []
        for plan, what, detail, kind in self.outs:
            if plan == "plain":
                built.append(what)
            elif plan == "argument":
                built.append(leaves[what])
            elif plan == "outside":
                built.append(replay_views(_root(storages[what.value.id][0], kind), detail))
            else:
                key, chain, _ = detail
                if key not in roots:
                    roots[key] = wrap(results["made", key], kind)
                built.append(replay_views(roots[key], chain))
        return built


def _root(storage: Storage, kind: Kind) -> Tensor:
    """A tensor that holds the whole of a storage."""
    made = wrap(storage.root, kind)
    made.alias = storage
    return made


def origins(graph: Graph) -> dict[int, int]:
    """For each value, the value whose memory it may share: views lead back to what they view."""
    from devtensor.core.op import OPS

    found = {value.id: value.id for value in graph.given()}
    for node in graph.nodes:
        for out in node.outputs:
            source = node.inputs[0] if OPS[node.op].view else None
            found[out.id] = found[source.id] if isinstance(source, Value) else out.id
    return found
