"""Saved-tensor hooks: what a node keeps for backward is packed by one function and unpacked by another."""

from __future__ import annotations

from collections.abc import Callable

from devtensor.autograd.recording import RecordingLayer
from devtensor.core.errors import ArgumentTypeError, AutogradError
from devtensor.core.node import Node, edge_of
from devtensor.core.state import current, switched
from devtensor.core.tensor import Tensor, describe, share


class Packed:
    """What stands in a node for a saved tensor: what the pack hook made of it, and the tensor's history.

    `held` is the unpacked tensor while the node's formulas run, so that it is unpacked once for all of them.
    """

    __slots__ = ("edge", "held", "packed", "unpack")

    def __init__(self, value: Tensor, pack: Callable, unpack: Callable) -> None:
        self.edge = edge_of(value)
        self.unpack = unpack
        self.held: Tensor | None = None
        version = value._version
        with switched(grad=False):
            self.packed = pack(value)
        if value._version != version:
            raise AutogradError(
                f"[saved_tensors_hooks] A saved tensor pack hook is modifying its input in place: "
                f"{describe(value)}; it must leave it as it is"
            )

    def value(self) -> Tensor:
        """The tensor, with the history of the one that was saved."""
        if self.held is None:
            self.held = self._unpacked()
            if self.edge is not None:
                self.held.node, self.held._requires_grad = self.edge, True
        return self.held

    def shown(self) -> Tensor:
        """The tensor as users see it, unpacked anew; what was a leaf is one."""
        made = self._unpacked()
        if isinstance(self.edge, Tensor):
            made._requires_grad = True
        elif self.edge is not None:
            made.node, made._requires_grad = self.edge, True
        return made

    def _unpacked(self) -> Tensor:
        found = self.unpack(self.packed)
        if not isinstance(found, Tensor):
            raise ArgumentTypeError(
                "[saved_tensors_hooks] Output of saved tensor unpack_hook expected to be a Tensor but "
                f"got result of type {type(found).__name__}"
            )
        return share(found)


def pack_node(node: Node, pack: Callable, unpack: Callable) -> None:
    """Pack all tensors that the node keeps, if that was not done yet."""
    extra = node.with_extra()
    if extra.packed:
        return
    extra.packed = True
    saved: list = list(node.saved or ())
    for place in _order(node, len(saved)):
        if isinstance(saved[place], Tensor):
            saved[place] = Packed(saved[place], pack, unpack)
    node.saved = tuple(saved)
    extra.outs = tuple(Packed(v, pack, unpack) if isinstance(v, Tensor) else v for v in extra.outs)  # type: ignore[misc]


def _order(node: Node, count: int) -> list[int]:
    """The places of what a node keeps, in the order of PyTorch's names for an op's inputs; a function of the
    user's own keeps its order."""
    plan = getattr(node, "plan", None)
    if plan is None:
        return list(range(count))
    names = [plan.op.input_name(place) for place in plan.save]
    return sorted(range(count), key=lambda at: "self" if names[at] == "input" else names[at])


def forget_unpacked(node: Node) -> None:
    """Let go of what was unpacked while the node's formulas ran."""
    for value in (*(node.saved or ()), *node.with_extra().outs):
        if isinstance(value, Packed):
            value.held = None


class SavingLayer(RecordingLayer):
    """Hears every op, and packs what its node keeps; only the innermost such layer does."""

    rank = 25

    def __init__(self, pack: Callable, unpack: Callable) -> None:
        self.pack = pack
        self.unpack = unpack

    def recorded(self, node: Node) -> None:
        """Pack what a new node keeps."""
        innermost = next(layer for layer in current().layers if isinstance(layer, SavingLayer))
        if innermost is self:
            pack_node(node, self.pack, self.unpack)
