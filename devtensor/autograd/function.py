"""Function: ops of users' own, with a forward and a backward written in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ReferenceType, ref

from devtensor.autograd.formulas import saved_out
from devtensor.core import tape
from devtensor.core.errors import ArgumentTypeError, AutogradError, ShapeError
from devtensor.core.inplace import check_leaf, rebase
from devtensor.core.op import GRADIENTS, REST, Formula
from devtensor.core.spec import broadcast_shapes
from devtensor.core.state import current, no_grad, replace
from devtensor.core.tape import Node, Output
from devtensor.core.tensor import Tensor, describe, share, wrap
from devtensor.ops.create import cast
from devtensor.ops.reduce import sum_to


class FunctionCtx:
    """What forward hands to backward: `save_for_backward` for tensors, plain attributes for everything
    else."""

    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self) -> None:
        self._kept: tuple = ()
        self._dirty: tuple[Tensor, ...] = ()
        self._constant: tuple[Tensor, ...] = ()
        self._materialize = True
        self._unpacked: tuple | None = None

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs, or other tensors, for backward, where `saved_tensors` gives them back."""
        if any(not isinstance(t, (Tensor, type(None))) for t in tensors):
            raise ArgumentTypeError(
                "[save_for_backward] can only save variables, tensors or None; keep other things as "
                "attributes of ctx"
            )
        self._kept = tensors

    @property
    def saved_tensors(self) -> tuple:
        """What `save_for_backward` kept, checked for in-place writes since."""
        return self._kept if self._unpacked is None else self._unpacked

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs forward wrote into; they must be among its outputs."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say through which outputs no gradient flows."""
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether a gradient that never arrived is zeros, or None."""
        self._materialize = value


class FunctionNode(Node):
    """The node of a Function, printed under its name."""

    __slots__ = ("title",)

    def name(self) -> str:
        return f"{self.title}Backward"


class _Named:
    """What messages need of an op: its name and its inputs'."""

    def __init__(self, name: str) -> None:
        self.name = name

    def input_name(self, place: int) -> str:
        return f"saved tensor {place}"


class _FunctionPlan:
    """What the tape asks of a plan: one formula for all inputs at once."""

    formulas = ()
    save_specs = broadcasts = False

    def __init__(self, name: str, rule: Any) -> None:
        self.op = _Named(name)
        self.joint = Formula(-1, rule, ((GRADIENTS, 0), (REST, 0)))
        self.save: tuple[int, ...] = ()
        self.save_out = self.keep_extra = True


class Function:
    """An op of one's own: subclass with static methods `forward(ctx, *args)` and `backward(ctx, *grads)`;
    call `apply`.

    With a static method `setup_context(ctx, inputs, output)`, forward takes no ctx.

    Example:
        class Double(Function):
            @staticmethod
            def forward(ctx, x): return x * 2
            @staticmethod
            def backward(ctx, g): return g * 2
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            "[Function] You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise NotImplementedError(
            "[Function] You must implement either the backward method for your Function"
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward, and remember backward if some input needs a gradient."""
        ctx = FunctionCtx()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        wanted = current().grad and any(ctx.needs_input_grad)
        with no_grad():
            if "setup_context" in cls.__dict__ or hasattr(cls, "setup_context"):
                result = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, result)  # type: ignore[attr-defined]
            else:
                result = cls.forward(ctx, *args, **kwargs)
        return _recorded(cls, ctx, args, result) if wanted else result


def _recorded(cls: type[Function], ctx: FunctionCtx, args: tuple, result: Any) -> Any:
    """Give the outputs of forward their history."""
    given = result if isinstance(result, tuple) else (result,)
    dirty, constant = {id(t) for t in ctx._dirty}, {id(t) for t in ctx._constant}
    flowing = [isinstance(t, Tensor) and t.dtype.is_floating_point and id(t) not in constant for t in given]
    for target in ctx._dirty:
        check_leaf(cls.__name__, target)
        if not any(target is out for out in given):
            raise AutogradError(
                f"[{cls.__name__}] Some elements marked as dirty during the forward method were not returned "
                f"as output: {describe(target)}; return every input that forward changes in place"
            )
    node = _node(cls, ctx, args, given)
    outs = [
        share(t) if isinstance(t, Tensor) and id(t) not in dirty and any(t is a for a in args) else t
        for t in given
    ]
    for place, (out, flows) in enumerate(zip(outs, flowing, strict=True)):
        if flows and id(out) in dirty:
            made = wrap(out.array, out.kind)
            made.node, made.requires_grad = Output(node, place), True
            rebase(out, made)
        elif flows:
            out.node, out.requires_grad = Output(node, place), True
    return tuple(outs) if isinstance(result, tuple) else outs[0]


def _node(cls: type[Function], ctx: FunctionCtx, args: tuple, outs: tuple) -> FunctionNode:
    """The node, which keeps inputs as they are, and outputs without the history that would make a circle."""
    places = [next((i for i, out in enumerate(outs) if out is kept), None) for kept in ctx._kept]
    node = made_node(cls.__name__, args)
    node.plan.joint = node.plan.joint._replace(function=_rule(cls, ctx, args, places, ref(node)))  # type: ignore[union-attr]
    saved = tuple(None if place is not None else kept for kept, place in zip(ctx._kept, places, strict=True))
    node.plan.save = tuple(range(len(saved)))  # type: ignore[misc]
    node.saved, node.versions = saved, tape.versions_of(saved)
    extra = node.with_extra()
    extra.blanks = [(tuple(t.array.shape), t.kind) if isinstance(t, Tensor) else None for t in outs]
    if any(place is not None for place in places):
        extra.outs = tuple(share(t) if isinstance(t, Tensor) else None for t in outs)  # type: ignore[misc]
        extra.versions = tape.versions_of(extra.outs)
    if not ctx._materialize:
        extra.hooks.append(lambda gs: _note_missing(ctx, gs))
    ctx._kept = ()
    return node


def made_node(name: str, args: tuple, rule: Callable | None = None) -> FunctionNode:
    """A node with one rule for all inputs."""
    node = FunctionNode()
    node.title = name
    node.plan = _FunctionPlan(name, rule)  # type: ignore[assignment]
    node.params, node.saved, node.versions, node.shapes, node.extra = (), (), (), None, None
    node.seq = tape._sequence()
    node.edges = tuple(tape.edge_of(a) for a in args)
    return node


def _note_missing(ctx: FunctionCtx, gs: list) -> list:
    ctx._missing = [g is None for g in gs]  # type: ignore[attr-defined]
    return gs


def _rule(
    cls: type[Function], ctx: FunctionCtx, args: tuple, places: list[int | None], node: ReferenceType
) -> Callable:
    likes = [(tuple(a.array.shape), a.kind) if isinstance(a, Tensor) else None for a in args]

    def rule(gs: list, saved: tuple) -> list:
        ctx._unpacked = tuple(
            saved[k] if place is None else saved_out(node(), place)  # type: ignore[arg-type]
            for k, place in enumerate(places)
        )
        if not ctx._materialize:
            gs = [None if missing else g for g, missing in zip(gs, ctx._missing, strict=True)]  # type: ignore[attr-defined]
        try:
            found = cls.backward(ctx, *gs)
        finally:
            ctx._unpacked = None
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        return _checked(cls.__name__, found, likes)

    return rule


def _checked(name: str, found: list, likes: list) -> list:
    """As many gradients as inputs, of the inputs' shapes and dtypes."""
    while len(found) > len(likes) and found[-1] is None:
        found.pop()
    if len(found) != len(likes):
        raise AutogradError(
            f"[{name}] function {name}Backward returned an incorrect number of gradients (expected "
            f"{len(likes)}, got "
            f"{len(found)})"
        )
    return [_fitted(name, place, g, like) for place, (g, like) in enumerate(zip(found, likes, strict=True))]


def _fitted(name: str, place: int, g: Any, like: Any) -> Any:
    if g is None or like is None:
        return None
    if not isinstance(g, Tensor):
        raise AutogradError(
            f"[{name}] backward gave {type(g).__name__} for input {place}; it needs a Tensor or None"
        )
    shape, kind = like
    given = tuple(g.array.shape)
    if given != shape:
        try:
            fits = broadcast_shapes(name, [given, shape]) == given
        except ShapeError:
            fits = False
        if not fits:
            raise ShapeError(
                f"[{name}] Function {name}Backward returned an invalid gradient at index {place} - got "
                f"{describe(g)} but "
                f"expected shape compatible with {list(shape)}"
            )
        g = sum_to(g, shape)
    return g if g.kind is kind else cast(g, kind.dtype)


def once_differentiable(backward: Callable) -> Callable:
    """A backward that cannot be differentiated again: a second derivative through it raises.

    Errors: AutogradError when a gradient of its results is asked for.
    """

    def once(ctx: Any, *gs: Any) -> Any:
        asked = current().grad and any(
            isinstance(g, Tensor) and g.requires_grad for g in (*gs, *ctx.saved_tensors)
        )
        before = replace(grad=False)
        try:
            found = backward(ctx, *gs)
        finally:
            replace(grad=before.grad)
        if not asked:
            return found
        results = found if isinstance(found, tuple) else (found,)
        return tuple(_forbidden(t, gs) if isinstance(t, Tensor) else t for t in results)

    return once


def _forbidden(result: Tensor, gs: tuple) -> Tensor:
    """The result with a history that only raises."""

    def refuse(*unused: Any) -> Any:
        raise AutogradError(
            "[once_differentiable] trying to differentiate twice a function that was marked with "
            "@once_differentiable"
        )

    made = share(result)
    node = made_node("Error", gs, refuse)
    node.with_extra().blanks = [(tuple(made.array.shape), made.kind)]
    made.node, made.requires_grad = Output(node, 0), True
    return made
