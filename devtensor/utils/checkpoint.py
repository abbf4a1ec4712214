"""Checkpointing: what a part of a model computes is not kept for backward but computed again there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from devtensor.autograd import engine
from devtensor.autograd.function import Function
from devtensor.autograd.graph import saved_tensors_hooks
from devtensor.autograd.run import current_run
from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.core.state import current, enable_grad
from devtensor.core.tensor import Tensor, share
from devtensor.utils.recomputation import CHECKS, CheckpointError, Circumstances, Frame, Held

__all__ = [
    "CheckpointError",
    "checkpoint",
    "checkpoint_sequential",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]


def noop_context_fn() -> tuple[AbstractContextManager, AbstractContextManager]:
    """Two contexts that do nothing: for the run forward, and for the one in backward."""
    return nullcontext(), nullcontext()


_early_stop: ContextVar[bool] = ContextVar("devtensor_checkpoint_early_stop", default=True)


@contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Whether checkpoints made within stop computing again once they have what backward needs."""
    token = _early_stop.set(enable)
    try:
        yield
    finally:
        _early_stop.reset(token)


@contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Taken and changes nothing: errors always name what differed."""
    yield


def checkpoint(
    function: Callable,
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[AbstractContextManager, AbstractContextManager]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, whose inner results are computed again in backward instead of kept.

    With `use_reentrant=False` whatever the function saves is replaced by a note of its place, and the first
    note that backward asks for runs the function again, only as far as it must. With True the function runs
    under no_grad, and backward runs it anew with a graph of its own; some tensor argument must then require a
    gradient, and keywords are not taken. Random state (unless `preserve_rng_state=False`) and autocast are
    as they were.

    Errors: CheckpointError if the second run saves other tensors than the first; ArgumentError for keywords
        and contexts that a reentrant checkpoint does not take.
    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".
    """
    if use_reentrant is None:
        warnings.warn(
            "checkpoint: the use_reentrant parameter should be passed explicitly; it is True where it is "
            "left out, and use_reentrant=False is recommended",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if not use_reentrant:
        if determinism_check not in CHECKS:
            raise ArgumentError(
                f"[checkpoint] determinism_check should be one of {sorted(CHECKS)} but got "
                f"{determinism_check!r}"
            )
        return _noted(function, args, kwargs, preserve, context_fn, CHECKS[determinism_check], early_stop)
    _check_reentrant(kwargs, context_fn, debug)
    return Reentrant.apply(function, preserve, *args)


def _check_reentrant(kwargs: dict[str, Any], context_fn: Callable, debug: bool) -> None:
    """Refuse what a reentrant checkpoint does not take.

    Errors: ArgumentError that names it.
    """
    if kwargs:
        raise ArgumentError(f"[checkpoint] Unexpected keyword arguments: {','.join(kwargs)}")
    if context_fn is not noop_context_fn or debug:
        raise ArgumentError(
            "[checkpoint] Passing `context_fn` or `debug` is only supported when use_reentrant=False."
        )


class Reentrant(Function):
    """Forward without a graph; backward makes one and goes through it at once."""

    @staticmethod
    def forward(ctx: Any, function: Callable, preserve_rng_state: bool, *args: Any) -> Any:
        tensors = [a for a in args if isinstance(a, Tensor)]
        if current().grad is False and not any(t.requires_grad for t in tensors):
            warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=4)
        ctx.function = function
        ctx.circumstances = Circumstances(preserve_rng_state, tensors)
        ctx.others = [None if isinstance(a, Tensor) else a for a in args]
        ctx.argument_places = [k for k, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.save_for_backward(*tensors)
        return function(*args)

    @staticmethod
    def backward(ctx: Any, *gs: Tensor | None) -> tuple:
        run = current_run()
        if run is not None and run.wanted is not None:
            raise AutogradError(
                "[checkpoint] When use_reentrant=True, checkpoint is incompatible with grad() or passing an "
                "`inputs` parameter to backward(), as it sums into every leaf; use use_reentrant=False"
            )
        inputs = list(ctx.others)
        for place, value in zip(ctx.argument_places, ctx.saved_tensors, strict=True):
            inputs[place] = share(value)
            inputs[place].requires_grad = value.requires_grad
        with ctx.circumstances.again(), enable_grad():
            outs = ctx.function(*inputs)
        outs = outs if isinstance(outs, tuple) else (outs,)
        pairs = [(o, g) for o, g in zip(outs, gs, strict=True) if isinstance(o, Tensor) and o.requires_grad]
        if not pairs:
            raise AutogradError(
                "[checkpoint] none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        roots, weights = zip(*pairs, strict=True)
        engine.backward(roots, weights)
        return (None, None, *(t.grad if isinstance(t, Tensor) and t.is_leaf else None for t in inputs))


def _noted(
    function: Callable,
    args: tuple,
    kwargs: dict[str, Any],
    preserve_rng_state: bool,
    context_fn: Callable,
    describe: Callable,
    early_stop: bool,
) -> Any:
    """A checkpoint by notes in place of what is saved."""
    forward_context, again_context = context_fn()
    if not current().grad:
        with forward_context:
            return function(*args, **kwargs)
    tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    circumstances = Circumstances(preserve_rng_state, tensors)
    arguments = Held(args, kwargs)

    def rerun() -> None:
        given, named = arguments.values()
        with circumstances.again(), again_context:
            function(*given, **named)

    frame = Frame(rerun, describe, early_stop and _early_stop.get())
    with saved_tensors_hooks(frame.pack, frame.unpack), forward_context:
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """A chain of functions or modules, cut into `segments` that are checkpoints, all but the last.

    Errors: ArgumentError for keywords other than preserve_rng_state.
    """
    if use_reentrant is None:
        warnings.warn(
            "checkpoint_sequential: the use_reentrant parameter should be passed explicitly; it is True "
            "where it is left out",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ArgumentError(f"[checkpoint_sequential] Unexpected keyword arguments: {','.join(kwargs)}")
    chain = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(chain) // segments
    end = -1
    for start in range(0, size * (segments - 1), size):
        end = start + size - 1
        part = _run_of(chain[start : end + 1])
        input = checkpoint(part, input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return _run_of(chain[end + 1 :])(input)


def _run_of(functions: list[Callable]) -> Callable:
    def run(value: Any) -> Any:
        for function in functions:
            value = function(value)
        return value

    return run
