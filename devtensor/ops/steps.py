"""Sequences walked step by step: what recurrent ops share.

The rows of all steps lie in one matrix, step after step, as in a packed sequence. `steps` says in which order
they are walked: a pair (first row, count of rows) for each. Row i of every step belongs to the i-th sequence;
sequences are sorted by length, so that a step's count tells which are there. Walked forward counts shrink,
as sequences end; walked backward they grow, as sequences begin.
"""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.ops.create import full_of
from devtensor.ops.join import cat
from devtensor.ops.shape import getitem

Steps = tuple[tuple[int, int], ...]


def check_steps(op: str, steps: Steps, rows: int, batch: int) -> None:
    """Refuse steps that are not all rows once, or that have other sequences than the initial state.

    Errors: ShapeError that says what does not fit.
    """
    if not steps:
        raise ShapeError(f"[{op}] Expected sequence length to be larger than 0 in RNN; got no steps")
    counts = [count for _, count in steps]
    if sum(counts) != rows or max(counts) != batch:
        raise ShapeError(
            f"[{op}] steps of {counts} rows for {rows} rows and an initial state of {batch}; they must add "
            "up to the rows, and the largest is the number of sequences"
        )


def check_shapes(op: str, given: dict[str, Any], needed: dict[str, tuple[int, ...]]) -> None:
    """Refuse inputs that are not of the shapes needed; None is an input that is absent.

    Errors: ShapeError that names the input and both shapes.
    """
    for name, wanted in needed.items():
        spec = given[name]
        if spec is not None and tuple(spec.shape) != wanted:
            raise ShapeError(f"[{op}] {name} has shape {tuple(spec.shape)}; it needs {wanted}")


def rows_of(states: Any, start: int, count: int) -> Any:
    """`count` rows from `start`; all of them are the tensor itself."""
    if count == states.array.shape[0]:
        return states
    return getitem(states, (slice(start, start + count),))


def columns_of(gates: Any, place: int, count: int) -> Any:
    """One of `count` equal parts of the columns."""
    size = gates.array.shape[1] // count
    return getitem(gates, (slice(None), slice(place * size, (place + 1) * size)))


def fitted(state: Any, initial: Any, count: int) -> Any:
    """The last step's state for a step of `count` rows: ended sequences go, beginning ones come from
    `initial`."""
    known = state.array.shape[0]
    if known >= count:
        return rows_of(state, 0, count)
    return cat(state, rows_of(initial, known, count - known), dim=0)


def by_rows(parts: list[Any], steps: Steps) -> Any:
    """What each step has made, in the order of the rows."""
    order = sorted(range(len(steps)), key=lambda place: steps[place][0])
    return cat(*[parts[place] for place in order], dim=0)


def uniform(steps: Steps) -> bool:
    """Whether all sequences are of one length."""
    return steps[0][1] == steps[-1][1]


def before(states: Any, initial: Any, steps: Steps) -> Any:
    """The state from which each step starts, in the order of the rows."""
    count = steps[0][1]
    if len(steps) == 1:
        return initial
    if uniform(steps):
        rest = states.array.shape[0] - count
        if steps[0][0] < steps[1][0]:
            return cat(initial, rows_of(states, 0, rest), dim=0)
        return cat(rows_of(states, count, rest), initial, dim=0)
    parts, state = [], rows_of(initial, 0, count)
    for start, count in steps:
        parts.append(fitted(state, initial, count))
        state = rows_of(states, start, count)
    return by_rows(parts, steps)


def final(states: Any, steps: Steps) -> Any:
    """The last state of every sequence."""
    parts, known = [], 0
    for start, count in reversed(steps):
        if count > known or not parts:
            parts.append(rows_of(states, start + known, count - known))
            known = count
    return parts[0] if len(parts) == 1 else cat(*parts, dim=0)


class Return:
    """A gradient on its way back through the steps, from the last to the first."""

    def __init__(self) -> None:
        self.handed: Any = None
        self.released: list[Any] = []

    def met(self, g: Any) -> Any:
        """The gradient `g` of a step's state, with what the step after handed back.

        What that hands to sequences which begin with it is their initial state's.
        """
        if self.handed is None:
            return g
        known, count = self.handed.array.shape[0], g.array.shape[0]
        handed = rows_of(self.handed, 0, min(known, count))
        if known > count:
            self.released.append(rows_of(self.handed, count, known - count))
        elif known < count:
            none = full_of((count - known, *g.array.shape[1:]), 0, g.kind)
            handed = cat(handed, none, dim=0)
        return g + handed

    def initial(self) -> Any:
        """The gradient of the initial state."""
        parts = [self.handed, *reversed(self.released)]
        return parts[0] if len(parts) == 1 else cat(*parts, dim=0)
