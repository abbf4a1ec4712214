"""backward() and grad(): their arguments checked, a pass run, its gradients handed out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from devtensor.autograd.edges import GradientEdge, edge_from, key_of
from devtensor.autograd.run import Run, accumulate
from devtensor.core.errors import ArgumentError, ArgumentTypeError, AutogradError, ShapeError
from devtensor.core.state import current, switched
from devtensor.core.tensor import Tensor, describe, share
from devtensor.core.views import NOWHERE
from devtensor.ops.create import cast, full_of
from devtensor.ops.join import cat
from devtensor.ops.shape import getitem


def _seed(place: int, root: Any, g: Any, name: str) -> Tensor:
    """The gradient that a root starts with.

    Errors: AutogradError if the root needs no gradient or is no scalar, ShapeError if shapes differ.
    """
    if isinstance(root, Tensor) and (not root.requires_grad or root.node is NOWHERE):
        raise AutogradError(
            f"[{name}] element {place} of tensors, {describe(root)}, does not require grad and does not have "
            "a grad_fn; set requires_grad on what should be differentiated, outside no_grad()"
        )
    if g is not None and not isinstance(g, Tensor):
        raise ArgumentTypeError(
            f"[{name}] gradients can be either Tensors or None, but got {type(g).__name__}"
        )
    like = _like(root)
    if g is None:
        if like is None or _count(like[0]) != 1:
            given = "a GradientEdge" if like is None else describe(root)
            raise AutogradError(
                f"[{name}] grad can be implicitly created only for scalar outputs, got {given}; "
                "sum it first, or pass a gradient"
            )
        if like[1].dtype.is_complex:
            raise AutogradError(
                f"[{name}] grad can be implicitly created only for real scalar outputs, got "
                f"{like[1].dtype}; take .real or .abs(), or pass a gradient"
            )
        return full_of(like[0], 1, like[1])
    if like is None:
        return g
    if tuple(g.array.shape) != like[0]:
        raise ShapeError(
            f"[{name}] Mismatch in shape: grad_output[{place}] is {describe(g)} and output[{place}] has "
            f"shape {like[0]}; they must be equal"
        )
    return g if g.kind is like[1] else cast(g, like[1].dtype)


def _like(root: Any) -> Any:
    """Shape and kind of what a root's gradient must be like; None where only a node with one output is
    known."""
    if isinstance(root, Tensor):
        return tuple(root.array.shape), root.kind
    edge = edge_from(root, "backward")
    if isinstance(edge, Tensor):
        return _like(edge)
    return None if edge.node is edge else edge.node.extra.blanks[edge.place]


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _as_list(value: Any) -> list:
    if isinstance(value, (Tensor, GradientEdge)) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)


def _start(roots: Sequence[Any], gs: Sequence[Any], run: Run, name: str) -> None:
    if len(roots) != len(gs):
        raise AutogradError(f"[{name}] got {len(roots)} tensors and {len(gs)} gradients; give one for each")
    seeds = [_seed(k, root, g, name) for k, (root, g) in enumerate(zip(roots, gs, strict=True))]
    edges = [edge_from(root, name) for root in roots]
    run.start_from(edges)
    for edge, seed, g in zip(edges, seeds, gs, strict=True):
        run.send(edge, share(g) if seed is g and not g.requires_grad else seed)


def _settings(create_graph: bool) -> switched:
    """Backward runs with autocast off, since dtypes were settled forward, and records only when asked to."""
    layers = tuple(layer for layer in current().layers if not getattr(layer, "forward_only", False))
    return switched(create_graph, layers)


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Sum the gradients of `tensors` into the `.grad` of the leaves they were computed from.

    Both `tensors` and `inputs` may be GradientEdges. With `inputs`, only they get a gradient.

    Shapes: grad_tensors like tensors; None for a tensor of one element means 1.
    Errors: AutogradError if nothing requires grad, or a graph is used twice without retain_graph.
    """
    if grad_variables is not None:
        if grad_tensors is not None:
            raise AutogradError("[backward] `grad_tensors` and `grad_variables` are one; give the first only")
        grad_tensors = grad_variables
    roots = _as_list(tensors)
    gs = [None] * len(roots) if grad_tensors is None else _as_list(grad_tensors)
    only = None if inputs is None else [_checked_input("backward", tensor) for tensor in _as_list(inputs)]
    if only is not None and not only:
        raise AutogradError("[backward] `inputs` argument to `backward()` cannot be empty; leave it out")
    wanted = None if only is None else {key_of(edge_from(value, "backward")): value for value in only}
    run = Run(
        create_graph if retain_graph is None else retain_graph,
        None if wanted is None else set(wanted),
        accumulates=True,
    )
    with _settings(create_graph):
        _start(roots, gs, run, "backward")
        run.loop()
        for key, value in (wanted or {}).items():
            if isinstance(value, Tensor) and key in run.collected:
                accumulate(value, run.collected[key], run.given)


def _checked_input(name: str, value: Any) -> Any:
    edge_from(value, name)
    if isinstance(value, Tensor) and not value.requires_grad:
        raise AutogradError(
            f"[{name}] One of the differentiated Tensors does not require grad: {describe(value)}; "
            "call requires_grad_() on it before it is used"
        )
    return value


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`, leaving every `.grad` alone.

    Both may be GradientEdges. With `is_grads_batched` the gradients have a dim in front: one pass is run for
    each of its rows, and the results are stacked.

    Errors: AutogradError if an input needs no gradient, or was not used and allow_unused is not set.
    """
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True); to sum gradients into "
            "other parts of the graph, call backward()",
            FutureWarning,
            stacklevel=2,
        )
    roots, asked = _as_list(outputs), [_checked_input("grad", value) for value in _as_list(inputs)]
    gs = [None] * len(roots) if grad_outputs is None else _as_list(grad_outputs)
    if not asked:
        raise AutogradError("[grad] `inputs` argument to `grad()` cannot be empty; name at least one tensor")
    if materialize_grads:
        _check_materialized(asked, allow_unused)
    retain = create_graph if retain_graph is None else retain_graph
    allow = bool(allow_unused) or materialize_grads
    if is_grads_batched:
        found = _row_by_row(roots, asked, gs, retain, create_graph, allow)
    else:
        found = _pass(roots, asked, gs, retain, create_graph, allow)
    return _materialized(found, asked) if materialize_grads else found


def _materialized(found: tuple[Tensor | None, ...], asked: list) -> tuple[Tensor | None, ...]:
    """The gradients, with zeros where there is none."""
    return tuple(
        full_of(v.array.shape, 0, v.kind) if g is None else g for g, v in zip(found, asked, strict=True)
    )


def _check_materialized(asked: list, allow_unused: bool | None) -> None:
    if allow_unused is False:
        raise ArgumentError(
            "[grad] Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False"
        )
    if not all(isinstance(value, Tensor) for value in asked):
        raise AutogradError("[grad] materialize_grads needs to know shapes; inputs must be Tensors")


def _pass(roots: list, asked: list, gs: list, retain: bool, create_graph: bool, allow_unused: bool) -> tuple:
    """One backward pass whose gradients are collected and given back."""
    keys = [key_of(edge_from(value, "grad")) for value in asked]
    run = Run(retain, set(keys), accumulates=False)
    with _settings(create_graph):
        _start(roots, gs, run, "grad")
        run.loop()
        return tuple(
            _result(run, key, value, place, allow_unused)
            for place, (key, value) in enumerate(zip(keys, asked, strict=True))
        )


def _result(run: Run, key: Any, asked: Any, place: int, allow_unused: bool) -> Tensor | None:
    found = run.collected.get(key)
    if found is None and not allow_unused:
        raise AutogradError(
            f"[grad] The differentiated Tensor at index {place} appears to not have been used in the graph: "
            f"{describe(asked)}; set allow_unused=True if that is meant"
        )
    if found is not None and isinstance(asked, Tensor) and found.kind is not asked.kind:
        found = cast(found, asked.kind.dtype)
    return found


def _row_by_row(roots: list, asked: list, gs: list, retain: bool, create_graph: bool, allow: bool) -> tuple:
    """One pass for each row of the gradients, stacked."""
    sizes = {len(g) for g in gs if g is not None}
    if len(sizes) != 1:
        raise ShapeError(f"[grad] is_grads_batched needs gradients of one length, got {sorted(sizes)}")
    (count,) = sizes
    if not count:
        raise ShapeError("[grad] is_grads_batched needs at least one row of gradients")
    rows = [
        _pass(
            roots, asked, [None if g is None else g[k] for g in gs],
            retain or k < count - 1, create_graph, allow,
        )
        for k in range(count)
    ]  # fmt: skip
    return tuple(None if column[0] is None else stacked(column) for column in zip(*rows, strict=True))


def stacked(rows: Sequence[Tensor]) -> Tensor:
    """The rows one after the other, along a dim in front of theirs."""
    return cat(*[getitem(row, (None,)) for row in rows])
