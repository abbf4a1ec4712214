"""The node of a user's Function, and the ctx that its forward and backward share."""

from __future__ import annotations

from typing import Any

from devtensor.autograd.formulas import blank, check_version, saved_out
from devtensor.autograd.run import current_run
from devtensor.autograd.saved import Packed
from devtensor.core.errors import ArgumentTypeError, AutogradError, ShapeError
from devtensor.core.node import Node, next_seq
from devtensor.core.spec import broadcast_shapes
from devtensor.core.tensor import Tensor, storage_of
from devtensor.ops.create import cast
from devtensor.ops.reduce import sum_to


class FunctionCtx:
    """What forward hands to backward: `save_for_backward` for tensors, plain attributes for everything
    else."""

    needs_input_grad: tuple[bool, ...] = ()
    to_save: tuple = ()
    dirty_tensors: tuple[Tensor, ...] = ()
    non_differentiable: tuple[Tensor, ...] = ()
    materialize_grads = True
    # A weak reference: the node holds the ctx.
    _node: Any = None

    @property
    def saved_tensors(self) -> tuple:
        """What `save_for_backward` kept, checked for in-place writes since."""
        node = None if self._node is None else self._node()
        return self.to_save if node is None else node.kept()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs, or other tensors, for backward, where `saved_tensors` gives them back."""
        for place, value in enumerate(tensors):
            if not isinstance(value, (Tensor, type(None))):
                raise ArgumentTypeError(
                    f"[save_for_backward] can only save variables, but argument {place} is of type "
                    f"{type(value).__name__}; keep other things as attributes of ctx"
                )
        self.to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Taken and not used: no rule here runs forward."""

    def mark_dirty(self, *args: Tensor) -> None:
        """Say which inputs forward wrote into; they must be among its outputs."""
        self.dirty_tensors = args
        for target in args:
            storage_of(target)
            target.alias.counter.version += 1

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Say through which outputs no gradient flows."""
        self.non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether a gradient that never arrived is zeros, or None."""
        self.materialize_grads = value

    def __getattr__(self, name: str) -> Any:
        node = None if name.startswith("__") or self._node is None else self._node()
        if node is None or not hasattr(Node, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(node, name)


class BackwardCFunction(Node):
    """The node of a Function; what it does not know itself its ctx is asked for.

    `places` tells which saved tensors are outputs, that are kept without the history that would make a
    circle; `likes` what the inputs were.
    """

    __slots__ = ("ctx", "likes", "places")
    forward_class: Any
    ctx: FunctionCtx
    places: tuple[int | None, ...]
    likes: list

    def __init__(self, ctx: FunctionCtx) -> None:
        self.ctx = ctx
        self.edges = self.params = self.versions = ()
        self.saved: tuple | None = ()
        self.extra = self.shapes = None
        self.seq = next_seq()

    def name(self) -> str:
        return type(self).__name__

    def named(self) -> Node:
        return self

    @property
    def op(self) -> Any:
        return self.forward_class

    def __getattr__(self, name: str) -> Any:
        if name in Node.__slots__ or name in BackwardCFunction.__slots__:
            raise AttributeError(name)
        return getattr(self.ctx, name)

    def kept(self) -> tuple:
        """The saved tensors."""
        self.check_alive()
        return tuple(self._kept(k, place) for k, place in enumerate(self.places))

    def _kept(self, k: int, place: int | None) -> Tensor | None:
        if place is not None:
            return saved_out(self, place)
        value = self.saved[k]  # type: ignore[index]
        if isinstance(value, Packed):
            return value.value()
        if value is not None and value.alias is not None:
            check_version(self, f"saved tensor {k}", value, self.versions[k])
        return value

    def own(self, gs: list[Tensor | None]) -> list[tuple[int, Tensor]]:
        """Run the user's backward; gives (input place, gradient) pairs."""
        if self.ctx.materialize_grads:
            gs = [blank(self, place) if g is None else g for place, g in enumerate(gs)]
        rule, run = self.forward_class._rule(), current_run()
        found = rule(self.ctx, *gs) if run is None else run.ask(rule, self.ctx, *gs)
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        while len(found) > len(self.likes) and found[-1] is None:
            found.pop()
        if len(found) != len(self.likes):
            raise AutogradError(
                f"[{self.op.name}] function {self.name()} returned an incorrect number of gradients "
                f"(expected {len(self.likes)}, got {len(found)})"
            )
        fitted = [(place, self._fitted(place, g)) for place, g in enumerate(found)]
        return [(place, g) for place, g in fitted if g is not None]

    def _fitted(self, place: int, g: Any) -> Tensor | None:
        """A gradient in its input's shape and dtype."""
        like = self.likes[place]
        if g is None:
            return None
        if not isinstance(g, Tensor):
            raise AutogradError(
                f"[{self.op.name}] expected Variable or None (got {type(g).__name__}) as gradient {place}"
            )
        if like is None:
            raise AutogradError(
                f"[{self.op.name}] function {self.name()} returned a gradient different than None at "
                f"position {place + 1}, but the corresponding forward input was not a Variable"
            )
        if self.edges[place] is None:
            return None
        shape, kind = like
        if tuple(g.array.shape) != shape:
            if not _sums_to(tuple(g.array.shape), shape):
                raise ShapeError(
                    f"[{self.op.name}] Function {self.name()} returned an invalid gradient at index {place} "
                    f"- got {list(g.array.shape)} but expected shape compatible with {list(shape)}"
                )
            g = sum_to(g, shape)
        return g if g.kind is kind else cast(g, kind.dtype)


def _sums_to(given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    try:
        return broadcast_shapes("Function", [given, shape]) == given
    except ShapeError:
        return False
