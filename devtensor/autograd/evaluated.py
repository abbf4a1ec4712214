"""One evaluation of a function, and the products of its Jacobian with vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from devtensor.autograd import engine
from devtensor.batching.levels import raised
from devtensor.core.dtype import int64
from devtensor.core.errors import ArgumentTypeError, AutogradError, ShapeError
from devtensor.core.tensor import Tensor, describe, share
from devtensor.ops.compare import eq
from devtensor.ops.create import arange, cast, full_of
from devtensor.ops.shape import getitem, permute, reshape


class Evaluated:
    """One evaluation of a function at inputs of which derivatives are asked."""

    def __init__(self, name: str, func: Callable, inputs: Any, create_graph: bool, strict: bool) -> None:
        self.name = name
        self.create_graph = create_graph
        self.strict = strict
        self.one_input = isinstance(inputs, Tensor)
        given = _tensors(name, inputs, "inputs")
        self.inputs = tuple(watched(t, create_graph) for t in given)
        out = func(*self.inputs)
        self.one_output = isinstance(out, Tensor)
        self.outputs = _tensors(name, out, "outputs of the user-provided function")
        if strict:
            for place, value in enumerate(self.outputs):
                if not value.requires_grad:
                    raise AutogradError(
                        f"[{name}] Output {place} of the user-provided function does not require gradients. "
                        "The outputs must be computed in a differentiable manner from the input when running "
                        "in strict mode."
                    )

    def weights(self, v: Any, like: tuple[Tensor, ...], what: str) -> tuple[Tensor, ...]:
        """The vector to multiply with, checked; ones if it may be left out."""
        if v is None:
            if len(like) != 1 or like[0].shape.numel() != 1:
                raise AutogradError(
                    f"[{self.name}] The vector v can only be None if there is one of the {what} and it has a "
                    "single element"
                )
            return (filled(like[0], 1),)
        found = _tensors(self.name, v, "v")
        if len(found) != len(like):
            raise AutogradError(
                f"[{self.name}] v is a tuple of {len(found)}; the {what} are {len(like)}, and v must "
                "be as many"
            )
        for place, (one, other) in enumerate(zip(found, like, strict=True)):
            if one.shape != other.shape:
                raise ShapeError(
                    f"[{self.name}] entry {place} of v has shape {tuple(one.shape)}; it must be "
                    f"{tuple(other.shape)} as that of the {what}"
                )
        return tuple(watched(t, True) if self.create_graph and t.requires_grad else share(t) for t in found)

    def gradients(self, outs: tuple, weights: tuple) -> tuple:
        """The gradients of the outputs, so weighted, for the inputs; None where there is none."""
        pairs = [
            (out, w) for out, w in zip(outs, weights, strict=True) if out is not None and out.requires_grad
        ]
        if not pairs:
            return (None,) * len(self.inputs)
        roots, gs = zip(*pairs, strict=True)
        return engine.grad(
            roots, self.inputs, gs, retain_graph=True, create_graph=self.create_graph, allow_unused=True
        )

    def slope(self) -> tuple:
        """The gradient of the one output, ready to be differentiated again."""
        if len(self.outputs) != 1 or self.outputs[0].shape.numel() != 1:
            raise AutogradError(
                f"[{self.name}] The function given to {self.name} should return a single Tensor with a "
                f"single element, got {', '.join(map(describe, self.outputs))}"
            )
        if not self.outputs[0].requires_grad:
            return (None,) * len(self.inputs)
        found = engine.grad(self.outputs, self.inputs, create_graph=True, allow_unused=True)
        return self.filled(found, self.inputs, lenient=True)

    def along(self, along: tuple) -> tuple:
        """The derivative of the outputs as the inputs move along."""
        found = pushed(self.outputs, self.inputs, along, self.create_graph, materialize=False)
        return self.filled(found, self.outputs)

    def transposed(self, slope: tuple, along: tuple) -> tuple:
        """The derivative of the slope as the inputs move along."""
        if all(part is None for part in slope):
            return slope
        return pushed(slope, self.inputs, along, self.create_graph, materialize=False)

    def by_outputs(self, each: Callable) -> tuple:
        """The Jacobian, row by row; `each` runs a function on all rows."""
        rows = []
        for place, out in enumerate(self.outputs):

            def row(unit: Tensor, place: int = place, out: Tensor = out) -> tuple:
                return self.filled(self.gradients((out,), (unit,)), self.inputs, place)

            columns = each(row, units(out))
            rows.append(
                tuple(
                    reshape(column, (*out.array.shape, *value.array.shape))
                    for column, value in zip(columns, self.inputs, strict=True)
                )
            )
        return tuple(rows)

    def by_inputs(self, each: Callable) -> tuple:
        """The Jacobian, column by column."""
        rows: list[list[Tensor]] = [[] for _ in self.outputs]
        for place, value in enumerate(self.inputs):
            still = [filled(t, 0) for t in self.inputs]

            def column(unit: Tensor, place: int = place, still: list[Tensor] = still) -> tuple:
                return self.along((*still[:place], unit, *still[place + 1 :]))

            for row, found, out in zip(rows, each(column, units(value)), self.outputs, strict=True):
                row.append(turned(found, value, out))
        return tuple(map(tuple, rows))

    def filled(
        self, found: tuple, like: tuple, place: int = 0, second: bool = False, lenient: bool = False
    ) -> tuple:
        """Zeros where there is no gradient.

        Errors: AutogradError under strict.
        """
        made = []
        for k, (g, value) in enumerate(zip(found, like, strict=True)):
            if g is None and self.strict and not lenient:
                raise AutogradError(
                    f"[{self.name}] Output {place} of the user-provided function is independent of input "
                    f"{k}. This is not allowed in strict mode."
                )
            if g is not None and self.strict and self.create_graph and not g.requires_grad and not second:
                raise AutogradError(
                    f"[{self.name}] jacobian of the user-provided function with respect to input {k} is "
                    "independent of the inputs. This is not allowed in strict mode when create_graph=True."
                )
            made.append(filled(value, 0) if g is None else g)
        return tuple(made)

    def handed_out(self, values: tuple, one: bool) -> Any:
        """Results without history, unless one was asked for; one tensor, or the tuple."""
        made = values if self.create_graph else tuple(share(v) if v.requires_grad else v for v in values)
        return made[0] if one else tuple(made)


def pushed(
    outs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    along: Sequence[Tensor],
    create_graph: bool,
    materialize: bool = True,
) -> tuple:
    """The derivative of the outputs as the inputs move along.

    It is the derivative, by u, of u times the Jacobian, which is linear in u.

    Source: Townsend 2017, "A new trick for calculating Jacobian vector products".
    """
    dummies = tuple(watched(filled(out, 0), False) if out.requires_grad else None for out in outs)
    live = [(out, u) for out, u in zip(outs, dummies, strict=True) if u is not None]
    found: dict[int, Tensor | None] = {}
    if live:
        roots, seeds = zip(*live, strict=True)
        linear = engine.grad(roots, inputs, seeds, create_graph=True, allow_unused=True)
        pairs = [(s, w) for s, w in zip(linear, along, strict=True) if s is not None and s.requires_grad]
        if pairs:
            lines, weights = zip(*pairs, strict=True)
            got = engine.grad(
                lines, seeds, weights, retain_graph=True, create_graph=create_graph, allow_unused=True
            )
            found = {id(u): g for u, g in zip(seeds, got, strict=True)}
    made = [None if u is None else found.get(id(u)) for u in dummies]
    return tuple(
        filled(out, 0) if g is None and materialize else g for g, out in zip(made, outs, strict=True)
    )


def watched(value: Tensor, create_graph: bool) -> Tensor:
    """The same numbers, as a tensor whose gradient is wanted; with its history if that is to be kept."""
    value = raised(value)
    if create_graph and value.requires_grad:
        return reshape(value, tuple(value.array.shape))
    made = share(value)
    made.requires_grad = True
    return made


def _tensors(name: str, value: Any, what: str) -> tuple[Tensor, ...]:
    found = value if isinstance(value, tuple) else (value,)
    for place, one in enumerate(found):
        if not isinstance(one, Tensor):
            raise ArgumentTypeError(
                f"[{name}] The {what} must be either a Tensor or a tuple of Tensors, but the value at index "
                f"{place} has type {type(one).__name__}"
            )
    return found


def filled(like: Tensor, number: int) -> Tensor:
    """A tensor of one number, otherwise like another."""
    return full_of(like.array.shape, number, like.kind)


def units(like: Tensor) -> Tensor:
    """For each element, in front, a tensor of zeros with a one there."""
    count = like.shape.numel()
    places = arange(0, 1, count, int64, like.kind.device)
    same = eq(getitem(places, (slice(None), None)), places)
    return reshape(cast(same, like.kind.dtype), (count, *like.array.shape))


def turned(columns: Tensor, value: Tensor, out: Tensor) -> Tensor:
    """Derivatives by elements of an input, in front, as what has the output's dims first."""
    made = reshape(columns, (*value.array.shape, *out.array.shape))
    order = tuple(range(value.array.ndim, made.array.ndim)) + tuple(range(value.array.ndim))
    return permute(made, order)
