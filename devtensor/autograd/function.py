"""Function: ops of users' own, with a forward and a backward written in Python."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from weakref import ref

from devtensor.autograd.function_node import BackwardCFunction, FunctionCtx
from devtensor.core import tape
from devtensor.core.errors import AutogradError
from devtensor.core.history import check_leaf, rebase
from devtensor.core.node import Output, edge_of
from devtensor.core.state import current, hear, switched
from devtensor.core.tensor import Tensor, View, describe, share, wrap

VIEW = (
    "This view was created inside a custom Function (or because an input was returned as-is) and {}; the "
    "autograd logic to handle view+inplace would override the custom backward: clone() the output instead"
)


class FunctionMeta(type):
    """Makes, with each Function, the class of its nodes."""

    def __init__(cls, name: str, bases: tuple, scope: dict[str, Any]) -> None:
        super().__init__(name, bases, scope)
        cls.name = name
        cls._backward_cls = type(
            f"{name}Backward",
            (BackwardCFunction,),
            {"forward_class": cls, "__module__": cls.__module__, "__slots__": ()},
        )


class Function(metaclass=FunctionMeta):
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

    name: str
    _backward_cls: type[BackwardCFunction]
    generate_vmap_rule = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise AutogradError(
            f"[{type(self).__name__}] Functions are not instantiated: make forward and backward static "
            f"methods and call {type(self).__name__}.apply(...)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            "[Function] You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> Any:
        raise NotImplementedError("[Function] setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise NotImplementedError(
            "[Function] You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @classmethod
    def _rule(cls) -> Callable:
        """The user's backward, under either of its names."""
        by_backward, by_vjp = cls.backward is not Function.backward, cls.vjp is not Function.vjp
        if by_backward and by_vjp:
            raise AutogradError(
                f"[{cls.name}] Implementing both 'backward' and 'vjp' for a custom Function is not allowed; "
                "implement one of them"
            )
        return cls.vjp if by_vjp else cls.backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward, and remember backward if some input needs a gradient."""
        apart = cls.setup_context is not Function.setup_context
        if apart:
            args, kwargs = _bound(cls.forward, args, kwargs), {}
        ctx = FunctionCtx()
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        wanted = current().grad and any(ctx.needs_input_grad)
        with switched(grad=False):
            if apart:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args, **kwargs)
        return _recorded(cls, ctx, args, result, wanted)


def _bound(forward: Callable, args: tuple, kwargs: dict[str, Any]) -> tuple:
    """The arguments in the order of forward's signature, with defaults filled in."""
    import inspect  # what few programs need, and costs as much as a family of ops

    found = inspect.signature(forward).bind(*args, **kwargs)
    found.apply_defaults()
    return found.args


def _recorded(cls: type[Function], ctx: FunctionCtx, args: tuple, result: Any, wanted: bool) -> Any:
    """The outputs of forward, with their history if one is wanted."""
    given = result if isinstance(result, tuple) else (result,)
    outs = [_fresh(ctx, out, args) for out in given]
    if wanted:
        _check_dirty(cls, ctx, given)
        node = _node(cls, ctx, args, given)
        constant = {id(t) for t in ctx.non_differentiable}
        for place, (out, raw) in enumerate(zip(outs, given, strict=True)):
            if not isinstance(out, Tensor) or not out.kind.dtype.differentiable:
                continue
            if id(raw) in constant:
                out.node, out._requires_grad = None, False
            else:
                _attach(node, out, place, any(out is t for t in ctx.dirty_tensors))
        hear("recorded", node)
    ctx.to_save = ctx.dirty_tensors = ctx.non_differentiable = ()
    return tuple(outs) if isinstance(result, tuple) else outs[0]


def _fresh(ctx: FunctionCtx, out: Any, args: tuple) -> Any:
    """An output as a tensor of its own: an input given back unwritten, and views, are handles anew."""
    if not isinstance(out, Tensor) or any(out is t for t in ctx.dirty_tensors):
        return out
    source = next((a for a in args if isinstance(a, Tensor) and a is out), None)
    viewed = out.alias is not None and out.alias.base is not None
    if source is None and not viewed:
        return out
    made = share(out)
    alias: Any = out.alias
    base = out if alias.base is None else alias.base
    made.alias = View(alias.storage, alias.chain, base, alias.counter, VIEW)
    alias.storage.views.append(ref(made))
    alias.storage.marked = True
    return made


def _check_dirty(cls: type[Function], ctx: FunctionCtx, given: tuple) -> None:
    for target in ctx.dirty_tensors:
        check_leaf(cls.name, target)
        if not any(target is out for out in given):
            raise AutogradError(
                f"[{cls.name}] Some elements marked as dirty during the forward method were not returned "
                f"as output: {describe(target)}; return every input that forward changes in place"
            )


def _node(cls: type[Function], ctx: FunctionCtx, args: tuple, given: tuple) -> BackwardCFunction:
    """The node: edges, what is kept, and what gradients are like."""
    node = cls._backward_cls(ctx)
    ctx._node = ref(node)
    kept = ctx.to_save
    outputs = [None if any(out is a for a in args) else out for out in given]
    node.places = tuple(
        None if value is None else next((i for i, out in enumerate(outputs) if out is value), None)
        for value in kept
    )
    node.edges = tuple(edge_of(a) for a in args)
    node.likes = [_like(a) for a in args]
    node.saved = tuple(v if p is None else None for v, p in zip(kept, node.places, strict=True))
    node.versions = tape.versions_of(node.saved)
    node.with_extra().blanks = [_like(out) for out in given]
    if any(place is not None for place in node.places):
        outs = [
            share(out) if isinstance(out, Tensor) and i in node.places else None
            for i, out in enumerate(given)
        ]
        tape.keep_outs(node, tuple(outs))
    return node


def _like(value: Any) -> tuple | None:
    return (tuple(value.array.shape), value.kind) if isinstance(value, Tensor) else None


def _attach(node: BackwardCFunction, out: Tensor, place: int, dirty: bool) -> None:
    """Give an output its history; what forward wrote into takes its base along."""
    if not dirty:
        out.node, out._requires_grad = Output(node, place), True
        return
    made = wrap(out.array, out.kind)
    made.node, made._requires_grad = Output(node, place), True
    rebase(out, made)


class InplaceFunction(Function):
    """A Function that remembers whether it was asked to work in place."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace


def once_differentiable(fn: Callable) -> Callable:
    """A backward that cannot be differentiated again: a second derivative through it raises.

    Errors: AutogradError when a gradient of its results is asked for.
    """

    @functools.wraps(fn)
    def once(ctx: Any, *gs: Any) -> Any:
        with switched(grad=False):
            found = fn(ctx, *gs)
        sources = [t for t in (*gs, *ctx.saved_tensors) if isinstance(t, Tensor) and t.requires_grad]
        if not current().grad or not sources:
            return found
        results = found if isinstance(found, tuple) else (found,)
        return tuple(DelayedError.apply(t, *sources) if isinstance(t, Tensor) else t for t in results)

    return once


class DelayedError(Function):
    """An identity whose backward only raises."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, *sources: Any) -> Tensor:
        return share(value)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        raise AutogradError(
            "[once_differentiable] trying to differentiate twice a function that was marked with "
            "@once_differentiable"
        )
