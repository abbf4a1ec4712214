"""Replaying an accepted capture in the memory that eager code sees."""

from __future__ import annotations

from typing import Any

from devtensor.core.op import OPS
from devtensor.core.state import switched
from devtensor.core.tensor import Storage, Tensor, storage_of
from devtensor.graph.ir import Graph, Slot, Value, comparable
from devtensor.graph.listen import Capture
from devtensor.graph.results import Building, Made, plan_result, plan_tensor
from devtensor.graph.run import Runner
from devtensor.graph.tree import unflatten

# Where each given value lives in this call: its storage, and the array that is read and written.
Memory = dict[int, tuple[Storage, Any]]


class Replay:
    """A graph, the memory outside that it belongs to, and how to build what the function returns."""

    def __init__(self, capture: Capture, leaves: list, outs: list, shape: Any) -> None:
        self.graph: Graph = capture.graph
        self.outside = capture.outside
        self.feeds = capture.feeds
        self.depends = capture.depends
        self.gradients = capture.gradients
        self.shape = shape
        self.inputs: list[tuple[Slot, int, bool]] = []
        for slot in self.graph.inputs:
            place = int(slot.name.removeprefix("arg"))
            entry = capture.table[storage_of(leaves[place])]
            self.inputs.append((slot, place, entry.prefix != leaves[place].alias.chain))
        self._plan_results(capture, leaves, outs)
        self.written = self.graph.written()
        self.given = {value.id for value in self.graph.given()}
        self.origins = origins(self.graph)
        self.runner = Runner(self.graph, {plan.root.id for plan in self.made})

    def _plan_results(self, capture: Capture, leaves: list, outs: list) -> None:
        """How gradients and outputs are built, and the new memory that they need."""
        lasting = [
            tensor
            for outside in self.outside if outside.leaf is None
            for ref, _ in outside.tensors if (tensor := ref()) is not None
        ]  # fmt: skip
        self.outs = [plan_result(out, capture, leaves, lasting) for out in outs]
        self.binds: list[tuple[Any, Any]] = []
        bound = {name for name, _ in self.graph.binds}
        for gradient in self.gradients:
            leaf = gradient.leaf.find(leaves)
            if gradient.name in bound and leaf is not None:
                now = getattr(leaf, "_grad", None)
                plan = None if now is None else plan_tensor(now, capture, leaves, lasting)
                self.binds.append((gradient.leaf, plan))
        plans = [*self.outs, *(plan for _, plan in self.binds)]
        self.made = list({plan.storage: plan for plan in plans if isinstance(plan, Made)}.values())

    def memory(self, leaves: list) -> Memory | None:
        """Where the graph's memory is now; None if something that the graph relied on has changed."""
        if not self._python_as_heard():
            return None
        found: Memory = {}
        for slot, place, whole in self.inputs:
            tensor = leaves[place]
            storage = storage_of(tensor)
            found[slot.value.id] = storage, storage.root if whole else tensor.array
        for slot, outside in zip(self.graph.slots, self.outside, strict=True):
            memory = outside.find(leaves)
            if memory is None:
                return None
            found[slot.value.id] = memory, memory.root
        # The graph takes each for memory of its own.
        if len({id(storage) for storage, _ in found.values()}) != len(found):
            return None
        return found if all(g.as_at_entry(leaves, found) for g in self.gradients) else None

    def _python_as_heard(self) -> bool:
        """Whether the Python state that shaped the graph is as it was, and what is fed still are numbers."""
        try:
            if any(isinstance(getter(), Tensor) for getter in self.feeds):
                return False
            return all(comparable(getter()) == value for getter, value in self.depends)
        except Exception:
            # What can no longer be read is asked for by the function itself, which fails where it should.
            return False

    def run(self, leaves: list, memory: Memory) -> Any:
        """Compute, then write into slots and inputs, bind gradients, build the outputs."""
        with switched(grad=False, layers=()):
            arrays = {value_id: array for value_id, (_, array) in memory.items()}
            for value, getter in zip(self.graph.feeds, self.feeds, strict=True):
                arrays[value.id] = fed(value, getter())
            self.runner.run(arrays)
            skipped = self._skipped(arrays)
            written = [slot for slot in self.written if slot.unless is None or slot.unless not in skipped]
            results = self._detach_results(arrays, written)
            for slot in written:
                storage, array = memory[slot.value.id]
                slot.value.device.kernel("write", slot.value.dtype)(array, results["write", slot.name])  # type: ignore[misc]
                storage.version += sum(count for flag, count in slot.writes if flag not in skipped)
            return self._build(leaves, memory, results)

    def _skipped(self, arrays: dict[int, Any]) -> set[Value | None]:
        """The flags that are set, where reading costs no waiting: writes under them count for nothing."""
        flags = {flag for slot in self.written for flag, _ in slot.writes if flag is not None}
        return {
            flag
            for flag in flags
            if getattr(flag.device.backend, "host_reads_are_free", False)
            and any(flag.device.backend.download(arrays[flag.id]))
        }

    def _detach_results(self, arrays: dict[int, Any], written: list[Slot]) -> dict[Any, Any]:
        """Results by what they are for; those that alias memory outside, or each other, are copied first."""
        wanted: list[tuple[Any, Any]] = [(("write", slot.name), slot.written) for slot in written]
        wanted += [(("made", plan.storage), plan.root) for plan in self.made]
        results, taken = {}, set()
        for key, value in wanted:
            array = arrays[value.id]
            origin = self.origins[value.id]
            if origin in taken or origin in self.given:
                array = value.device.backend.kernels["copy"](array)
            taken.add(origin)
            results[key] = array
        return results

    def _build(self, leaves: list, memory: Memory, results: dict[Any, Any]) -> Any:
        """Leave new gradients on the leaves and give the function's results; what shared memory shares it."""
        inputs = {slot.value.id: place for slot, place, whole in self.inputs if not whole}
        building = Building(leaves, inputs, memory, results)
        for leaf, plan in self.binds:
            leaf.find(leaves).grad = None if plan is None else plan.build(building)
        return unflatten(self.shape, [plan.build(building) for plan in self.outs])


def fed(value: Value, number: Any) -> Any:
    """A number that is data, as the 0-d array that the graph reads."""
    return value.device.kernel("full", value.dtype)((), float(number), value.dtype.name)  # type: ignore[misc]


def origins(graph: Graph) -> dict[int, int]:
    """For each value, the value whose memory it may share: views lead back to what they view."""
    found = {value.id: value.id for value in graph.given()}
    for node in graph.nodes:
        for out in node.outputs:
            source = node.inputs[0] if OPS[node.op].view else None
            found[out.id] = found[source.id] if isinstance(source, Value) else out.id
    return found
