"""Nested arguments of transforms: their tensors made leaves, and results let go of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.autograd.evaluated import watched
from devtensor.autograd.run import reachable
from devtensor.core.dispatch import call
from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.core.op import OPS
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, share
from devtensor.graph.tree import flatten, unflatten


class Nested:
    """A nested value and its leaves in a row."""

    def __init__(self, value: Any) -> None:
        self.leaves: list = []
        self.shape = flatten(value, self.leaves)

    def like(self, leaves: Sequence[Any]) -> Any:
        """A value of this form with other leaves."""
        return unflatten(self.shape, list(leaves))

    def tensors(self, name: str, what: str) -> list[Tensor]:
        """The leaves, which must all be tensors.

        Errors: ArgumentError for others.
        """
        for leaf in self.leaves:
            if not isinstance(leaf, Tensor):
                raise ArgumentError(
                    f"[{name}] {what} must be tensors, or lists, tuples and dicts of them; got "
                    f"{type(leaf).__name__}"
                )
        return self.leaves


class Level:
    """One transform at work: the tensors it differentiates by, and what it hands out without them.

    A tensor with history stays part of it, so that transforms around this one see through; what it makes
    itself is no business of anybody's, and results that depend on nothing else lose their history.
    """

    def __init__(self) -> None:
        self.recording = current().grad
        self.own: set[int] = set()
        self.made: list[Tensor] = []

    def watch(self, value: Tensor) -> Tensor:
        """The tensor as one whose gradient is wanted."""
        made = watched(value, True)
        if made.node is None:
            self.own.add(id(made))
            self.made.append(made)
        return made

    def release(self, value: Any) -> Any:
        """The nested value, its tensors without the history that only this transform made."""
        nested = Nested(value)
        return nested.like([self._released(leaf) for leaf in nested.leaves])

    def _released(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not leaf.requires_grad:
            return leaf
        return leaf if self.recording and self._depends_on_others(leaf) else share(leaf)

    def _depends_on_others(self, value: Tensor) -> bool:
        if value.node is None:
            return id(value) not in self.own
        edges = [edge for node in reachable([value.node]) for edge in node.edges]
        return any(isinstance(edge, Tensor) and id(edge) not in self.own for edge in edges)


def chosen_arguments(name: str, args: tuple, argnums: Any) -> list[int]:
    """Places of the arguments that `argnums`, an int or a tuple of ints, names.

    Errors: AutogradError for a place that there is not, or one named twice.
    """
    several = argnums if isinstance(argnums, tuple) else (argnums,)
    if not several or not all(isinstance(place, int) for place in several):
        raise AutogradError(f"[{name}] argnums must be an int or a non-empty tuple of ints, got {argnums!r}")
    for place in several:
        if not -len(args) <= place < len(args):
            raise AutogradError(f"[{name}] Got argnum={place}, but only {len(args)} positional inputs")
    places = [place % len(args) for place in several]
    if len(set(places)) != len(places):
        raise AutogradError(f"[{name}] argnums elements must be unique, got {argnums!r}")
    return places


def split_aux(name: str, result: Any, has_aux: bool) -> tuple[Any, Any]:
    """The output, and what is handed on beside it.

    Errors: AutogradError if there should be a pair and is none.
    """
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise AutogradError(
            f"[{name}] output of function f should be a tuple: (output, aux) if has_aux is True, got "
            f"{type(result).__name__}"
        )
    return result


def stacked(rows: list[Tensor], dim: int) -> Tensor:
    """Tensors of one shape, along a new dim."""
    place = (slice(None),) * (dim % (rows[0].array.ndim + 1))
    return call(
        OPS["cat"], tuple(call(OPS["getitem"], (row,), ((*place, None),)) for row in rows), (len(place),)
    )
