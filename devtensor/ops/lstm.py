"""One layer of long short-term memory in one direction, over all steps."""

from __future__ import annotations

from typing import Any

from devtensor.core.op import Plain, composite
from devtensor.core.rules import only_floating
from devtensor.ops.examples import case, fails
from devtensor.ops.functions import tanh
from devtensor.ops.hyperbolic import sigmoid
from devtensor.ops.join import cat
from devtensor.ops.linalg import matmul, transposed
from devtensor.ops.steps import (
    Return,
    before,
    by_rows,
    check_shapes,
    check_steps,
    columns_of,
    fitted,
    rows_of,
)

Sizes = tuple[int, ...]


def _layer_shapes(op: str, inputs: Any, params: tuple) -> list[Sizes]:
    given: dict[str, Any] = dict(zip(("gates", "h0", "c0", "w_hh", "w_hr"), inputs, strict=True))
    (batch, size), rows = given["c0"].shape, given["gates"].shape[0]
    seen = size if given["w_hr"] is None else given["w_hr"].shape[0]
    check_shapes(
        op,
        given,
        {"gates": (rows, 4 * size), "h0": (batch, seen), "w_hh": (4 * size, seen), "w_hr": (seen, size)},
    )
    check_steps(op, params[0], rows, batch)
    return [(rows, seen), (rows, size), (rows, 4 * size)]


@composite(dtype=(only_floating,) * 3, shape=_layer_shapes, amp="lower", eager=True)
def lstm_layer(gates, h0, c0, w_hh, w_hr, steps: Plain):
    """Outputs, cells and gates of every step, from what the inputs alone give to the gates.

    The gates are input, forget, cell and output; `w_hr`, which may be None, projects the outputs. `steps` are
    pairs (first row, count of rows) in the order in which they are walked.

    Shapes: gates (S, 4*H), h0 (B, P), c0 (B, H), w_hh (4*H, P), w_hr (P, H) -> (S, P), (S, H), (S, 4*H)
    Source: Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000, without peepholes;
    projections by Sak et al. 2014.
    Errors: ShapeError if sizes do not fit or there is no step.
    """
    outputs, cells, opened = [], [], []
    count = steps[0][1]
    h, c = rows_of(h0, 0, count), rows_of(c0, 0, count)
    for start, count in steps:
        h, c = fitted(h, h0, count), fitted(c, c0, count)
        heard = rows_of(gates, start, count) + matmul(h, transposed(w_hh))
        let_in, kept, offered, let_out = (columns_of(heard, place, 4) for place in range(4))
        let_in, kept, offered, let_out = sigmoid(let_in), sigmoid(kept), tanh(offered), sigmoid(let_out)
        c = kept * c + let_in * offered
        h = let_out * tanh(c)
        h = h if w_hr is None else matmul(h, transposed(w_hr))
        outputs.append(h)
        cells.append(c)
        opened.append(cat(let_in, kept, offered, let_out, dim=1))
    return by_rows(outputs, steps), by_rows(cells, steps), by_rows(opened, steps)


def _gradient_shapes(op: str, inputs: Any, params: tuple) -> list[Sizes]:
    names = ("g_output", "g_cells", "g_gates", "cells", "gates", "c0", "w_hh", "w_hr")
    given: dict[str, Any] = dict(zip(names, inputs, strict=True))
    (batch, size), (wide, seen) = given["c0"].shape, given["w_hh"].shape
    rows = given["gates"].shape[0]
    states = dict.fromkeys(("g_cells", "cells"), (rows, size))
    opened = dict.fromkeys(("g_gates", "gates"), (rows, 4 * size))
    others = {"g_output": (rows, seen), "w_hh": (4 * size, seen), "w_hr": (seen, size)}
    check_shapes(op, given, states | opened | others)
    check_steps(op, params[0], rows, batch)
    return [(rows, wide), (rows, seen), (batch, seen), (batch, size)]


@composite(dtype=(only_floating,) * 4, shape=_gradient_shapes, amp="lower", eager=True)
def lstm_layer_grad(g_output, g_cells, g_gates, cells, gates, c0, w_hh, w_hr, steps: Plain):
    """Gradients of what the inputs give to the gates of an `lstm_layer`, of each output with all that came of
    it, of h0 and of c0.

    S rows of all steps, B sequences, H numbers in a cell, P in an output.

    Shapes: g_output, g_cells, g_gates, cells, gates, c0, w_hh, w_hr -> (S, 4*H), (S, P), (B, P), (B, H)
    Errors: ShapeError if sizes do not fit or there is no step.
    """
    heard, met = [], []
    outputs, states = Return(), Return()
    earlier = before(cells, c0, steps)
    for start, count in reversed(steps):
        let_in, kept, offered, let_out = (
            columns_of(rows_of(gates, start, count), place, 4) for place in range(4)
        )
        g = outputs.met(rows_of(g_output, start, count))
        met.append(g)
        hidden = g if w_hr is None else matmul(g, w_hr)
        shown = tanh(rows_of(cells, start, count))
        cell = states.met(rows_of(g_cells, start, count)) + hidden * let_out * (1 - shown * shown)
        previous = rows_of(earlier, start, count)
        slopes = cat(cell * offered, cell * previous, cell * let_in, hidden * shown, dim=1)
        steep = cat(
            let_in * (1 - let_in), kept * (1 - kept), 1 - offered * offered, let_out * (1 - let_out), dim=1
        )
        slopes = (slopes + rows_of(g_gates, start, count)) * steep
        heard.append(slopes)
        outputs.handed, states.handed = matmul(slopes, w_hh), cell * kept
    backward = tuple(reversed(steps))
    return by_rows(heard, backward), by_rows(met, backward), outputs.initial(), states.initial()


def _gradients(gs: Any, outs: Any, h0: Any, c0: Any, w_hh: Any, w_hr: Any, steps: Any) -> tuple:
    output, cells, gates = outs
    heard, met, for_h0, for_c0 = lstm_layer_grad(*gs, cells, gates, c0, w_hh, w_hr, steps)
    for_w_hh = matmul(transposed(heard), before(output, h0, steps))
    if w_hr is None:
        return heard, for_h0, for_c0, for_w_hh, None
    hidden = columns_of(gates, 3, 4) * tanh(cells)
    return heard, for_h0, for_c0, for_w_hh, matmul(transposed(met), hidden)


# Joint because all come from one walk back through the steps.
lstm_layer.joint_vjp(_gradients)

# Sequences of one length, of several walked forward, and walked backward; one step.
EVEN = ((0, 2), (2, 2), (4, 2))
ENDING = ((0, 3), (3, 2), (5, 1))
BEGINNING = ((5, 1), (3, 2), (0, 3))
WALKS = (EVEN, tuple(reversed(EVEN)), ENDING, BEGINNING, ((0, 2),))


def sizes_of(steps: Any) -> tuple[int, int]:
    """Rows and sequences."""
    return sum(count for _, count in steps), max(count for _, count in steps)


@lstm_layer.examples
def _(make):
    for steps in WALKS:
        rows, batch = sizes_of(steps)
        for seen, projection in ((3, None), (2, make(2, 3))):
            states = make(batch, seen), make(batch, 3)
            yield case(make(rows, 12), *states, make(12, seen), projection, steps=steps)
    yield case(make(0, 8), make(0, 2), make(0, 2), make(8, 2), None, steps=((0, 0),))
    yield fails(make(4, 8), make(2, 2), make(2, 2), make(8, 3), None, steps=((0, 2), (2, 2)), error="w_hh")
    yield fails(make(4, 8), make(2, 2), make(2, 2), make(8, 2), None, steps=((0, 2),), error="must add")
    yield fails(make(0, 8), make(2, 2), make(2, 2), make(8, 2), None, steps=(), error="larger than 0")


@lstm_layer_grad.examples
def _(make):
    for steps in WALKS:
        rows, batch = sizes_of(steps)
        for seen, projection in ((3, None), (2, make(2, 3))):
            gradients = make(rows, seen), make(rows, 3), make(rows, 12)
            kept = make(rows, 3), make(rows, 12), make(batch, 3)
            yield case(*gradients, *kept, make(12, seen), projection, steps=steps)
    wrong = make(2, 1), make(2, 2), make(2, 8), make(2, 2), make(2, 8), make(2, 2), make(8, 2), None
    yield fails(*wrong, steps=((0, 2),), error="g_output has shape")
