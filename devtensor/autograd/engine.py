"""backward() and grad(): their arguments checked, a pass run, its gradients handed out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.autograd.run import Run, accumulate, edge_key, path_to
from devtensor.core.dispatch import call
from devtensor.core.errors import ArgumentError, ArgumentTypeError, AutogradError, ShapeError
from devtensor.core.op import OPS
from devtensor.core.state import current, replace
from devtensor.core.tape import edge_of
from devtensor.core.tensor import Tensor, describe, share


def _seed(root: Tensor, g: Tensor | None, name: str) -> Tensor:
    """The gradient that a root starts with.

    Errors: AutogradError if the root needs no gradient or is no scalar, ShapeError if shapes differ.
    """
    if not root.requires_grad:
        raise AutogradError(
            f"[{name}] element of tensors {describe(root)} does not require grad and does not have a "
            "grad_fn; "
            "set requires_grad on what should be differentiated, outside no_grad()"
        )
    if g is None:
        if root.shape.numel() != 1:
            raise AutogradError(
                f"[{name}] grad can be implicitly created only for scalar outputs, got {describe(root)}; "
                "sum it first, or pass a gradient"
            )
        return call(OPS["full"], (), (tuple(root.array.shape), 1, root.kind.dtype, root.kind.device))
    if not isinstance(g, Tensor):
        raise AutogradError(f"[{name}] gradient is {type(g).__name__}; it needs a Tensor or None")
    if g.array.shape != root.array.shape:
        raise ShapeError(f"[{name}] gradient {describe(g)} for output {describe(root)}; shapes must be equal")
    return g if g.kind is root.kind else call(OPS["cast"], (g,), (root.kind.dtype,))


def _as_list(value: Any) -> list:
    return list(value) if isinstance(value, (tuple, list)) else [value]


def _start(roots: Sequence[Tensor], gs: Sequence[Tensor | None], run: Run, name: str) -> None:
    if len(roots) != len(gs):
        raise AutogradError(f"[{name}] got {len(roots)} tensors and {len(gs)} gradients; give one for each")
    if run.wanted is not None:
        run.path = path_to(run.wanted, roots)
    for root, g in zip(roots, gs, strict=True):
        seed = _seed(root, g, name)
        edge = edge_of(root)
        if g is not None and seed is g:
            seed = share(g) if not g.requires_grad else g
        run.send(edge, seed)


def _settings(create_graph: bool) -> Any:
    """Backward runs with autocast off, since dtypes were settled forward, and records only when asked to."""
    layers = tuple(layer for layer in current().layers if not getattr(layer, "forward_only", False))
    return replace(grad=create_graph, layers=layers)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Sum the gradients of `tensors` into the `.grad` of the leaves they were computed from.

    Shapes: grad_tensors like tensors; None for a tensor of one element means 1.
    Errors: AutogradError if nothing requires grad, or a graph is used twice without retain_graph.
    """
    roots = _as_list(tensors)
    gs = [None] * len(roots) if grad_tensors is None else _as_list(grad_tensors)
    only = None if inputs is None else list(dict.fromkeys(_as_list(inputs)))
    if only is not None and not only:
        raise AutogradError("[backward] inputs is empty; name at least one tensor, or leave it out")
    for tensor in only or ():
        _check_input("backward", tensor)
    run = Run(create_graph if retain_graph is None else retain_graph, only)
    before = _settings(create_graph)
    try:
        _start(roots, gs, run, "backward")
        run.loop()
        run.finish()
        run.deliver()
        for tensor in only or ():
            if tensor.node is not None and edge_key(tensor) in run.collected:
                accumulate(tensor, run.collected[edge_key(tensor)], run.given)
    finally:
        replace(grad=before.grad, layers=before.layers)


def _check_input(name: str, tensor: Any) -> None:
    if not isinstance(tensor, Tensor):
        raise ArgumentTypeError(f"[{name}] inputs hold a {type(tensor).__name__}; they must be Tensors")
    if not tensor.requires_grad:
        raise AutogradError(
            f"[{name}] One of the differentiated Tensors does not require grad: {describe(tensor)}; "
            "call requires_grad_() on it before it is used"
        )


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`, leaving every `.grad` alone.

    Errors: AutogradError if an input needs no gradient, or was not used and allow_unused is not set.
    """
    if is_grads_batched:
        raise AutogradError("[grad] is_grads_batched is not supported; call grad() once per row")
    roots, wanted = _as_list(outputs), _as_list(inputs)
    gs = [None] * len(roots) if grad_outputs is None else _as_list(grad_outputs)
    if not wanted:
        raise AutogradError("[grad] `inputs` argument to `grad()` cannot be empty; name at least one tensor")
    if materialize_grads and allow_unused is False:
        raise ArgumentError(
            "[grad] Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False"
        )
    for tensor in wanted:
        _check_input("grad", tensor)
    run = Run(create_graph if retain_graph is None else retain_graph, wanted)
    before = _settings(create_graph)
    try:
        _start(roots, gs, run, "grad")
        run.loop()
        run.finish()
        return tuple(
            _result(run, t, bool(allow_unused) or materialize_grads, materialize_grads) for t in wanted
        )
    finally:
        replace(grad=before.grad, layers=before.layers)


def _result(run: Run, tensor: Tensor, allow_unused: bool, materialize: bool) -> Tensor | None:
    found = run.collected.get(edge_key(tensor))
    if found is None and not allow_unused:
        raise AutogradError(
            "[grad] One of the differentiated Tensors appears to not have been used in the graph: "
            f"{describe(tensor)}; "
            "set allow_unused=True if that is meant"
        )
    if found is None and materialize:
        return call(OPS["full"], (), (tuple(tensor.array.shape), 0, tensor.kind.dtype, tensor.kind.device))
    if found is not None and found.kind is not tensor.kind:
        found = call(OPS["cast"], (found,), (tensor.kind.dtype,))
    return found
