"""One layer of plain or gated recurrent units in one direction, over all steps."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import OptionError
from devtensor.core.op import Plain, composite
from devtensor.core.rules import only_floating
from devtensor.ops.activation import relu
from devtensor.ops.compare import gt, where
from devtensor.ops.examples import case, fails
from devtensor.ops.functions import tanh
from devtensor.ops.hyperbolic import sigmoid
from devtensor.ops.join import cat
from devtensor.ops.linalg import matmul, transposed
from devtensor.ops.lstm import WALKS, sizes_of
from devtensor.ops.reduce import sum as _sum
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


def _plain_shape(op: str, inputs: Any, params: tuple) -> Sizes:
    given: dict[str, Any] = dict(zip(("gates", "h0", "w_hh"), inputs, strict=True))
    (batch, size), rows = given["h0"].shape, given["gates"].shape[0]
    check_shapes(op, given, {"gates": (rows, size), "w_hh": (size, size)})
    check_steps(op, params[0], rows, batch)
    if params[1] not in ("tanh", "relu"):
        raise OptionError(f"[{op}] Unknown nonlinearity {params[1]!r}; select from 'tanh' or 'relu'")
    return rows, size


@composite(dtype=only_floating, shape=_plain_shape, amp="lower", eager=True)
def rnn_layer(gates, h0, w_hh, steps: Plain, nonlinearity: Plain = "tanh"):
    """tanh or relu, at every step, of what the inputs give and the step before times `w_hh`.

    `steps` are pairs (first row, count of rows) in the order in which they are walked.

    Shapes: gates (S, H), h0 (B, H), w_hh (H, H) -> (S, H)
    Source: Elman 1990.
    Errors: ShapeError if sizes do not fit or there is no step, OptionError for another nonlinearity.
    """
    bent = tanh if nonlinearity == "tanh" else relu
    outputs, h = [], rows_of(h0, 0, steps[0][1])
    for start, count in steps:
        h = bent(rows_of(gates, start, count) + matmul(fitted(h, h0, count), transposed(w_hh)))
        outputs.append(h)
    return by_rows(outputs, steps)


def _plain_gradient_shapes(op: str, inputs: Any, params: tuple) -> list[Sizes]:
    given: dict[str, Any] = dict(zip(("g", "output", "w_hh"), inputs, strict=True))
    rows, size = given["output"].shape
    check_shapes(op, given, {"g": (rows, size), "w_hh": (size, size)})
    batch = max((count for _, count in params[0]), default=0)
    check_steps(op, params[0], rows, batch)
    return [(rows, size), (batch, size)]


@composite(dtype=(only_floating,) * 2, shape=_plain_gradient_shapes, amp="lower", eager=True)
def rnn_layer_grad(g, output, w_hh, steps: Plain, nonlinearity: Plain = "tanh"):
    """Gradients of what the inputs give to an `rnn_layer`, and of h0.

    Shapes: g (S, H), output (S, H), w_hh (H, H) -> (S, H), (B, H)
    Errors: ShapeError if sizes do not fit or there is no step.
    """
    heard, outputs = [], Return()
    for start, count in reversed(steps):
        arrived = outputs.met(rows_of(g, start, count))
        shown = rows_of(output, start, count)
        if nonlinearity == "tanh":
            slopes = arrived * (1 - shown * shown)
        else:
            slopes = where(gt(shown, 0), arrived, 0.0)
        heard.append(slopes)
        outputs.handed = matmul(slopes, w_hh)
    return by_rows(heard, tuple(reversed(steps))), outputs.initial()


def _plain_gradients(g: Any, out: Any, h0: Any, w_hh: Any, steps: Any, nonlinearity: Any) -> tuple:
    heard, for_h0 = rnn_layer_grad(g, out, w_hh, steps, nonlinearity)
    return heard, for_h0, matmul(transposed(heard), before(out, h0, steps))


# Joint because all come from one walk back through the steps.
rnn_layer.joint_vjp(_plain_gradients)


def _gated_shapes(op: str, inputs: Any, params: tuple) -> list[Sizes]:
    given: dict[str, Any] = dict(zip(("gates", "h0", "w_hh", "b_hh"), inputs, strict=True))
    (batch, size), rows = given["h0"].shape, given["gates"].shape[0]
    check_shapes(op, given, {"gates": (rows, 3 * size), "w_hh": (3 * size, size), "b_hh": (3 * size,)})
    check_steps(op, params[0], rows, batch)
    return [(rows, size), (rows, 4 * size)]


@composite(dtype=(only_floating,) * 2, shape=_gated_shapes, amp="lower", eager=True)
def gru_layer(gates, h0, w_hh, b_hh, steps: Plain):
    """Outputs of every step, and its gates: reset, update, new, and what the state gives to the new one.

    `gates` is what the inputs give; `b_hh` may be None. `steps` are pairs (first row, count of rows) in the
    order in which they are walked.

    Shapes: gates (S, 3*H), h0 (B, H), w_hh (3*H, H), b_hh (3*H,) -> (S, H), (S, 4*H)
    Source: Cho et al. 2014; the reset gate acts behind the matrix, as in PyTorch.
    Errors: ShapeError if sizes do not fit or there is no step.
    """
    outputs, opened = [], []
    h = rows_of(h0, 0, steps[0][1])
    for start, count in steps:
        h = fitted(h, h0, count)
        own, seen = matmul(h, transposed(w_hh)), rows_of(gates, start, count)
        own = own if b_hh is None else own + b_hh
        reset = sigmoid(columns_of(seen, 0, 3) + columns_of(own, 0, 3))
        update = sigmoid(columns_of(seen, 1, 3) + columns_of(own, 1, 3))
        recalled = columns_of(own, 2, 3)
        new = tanh(columns_of(seen, 2, 3) + reset * recalled)
        h = new + update * (h - new)
        outputs.append(h)
        opened.append(cat(reset, update, new, recalled, dim=1))
    return by_rows(outputs, steps), by_rows(opened, steps)


def _gated_gradient_shapes(op: str, inputs: Any, params: tuple) -> list[Sizes]:
    given: dict[str, Any] = dict(
        zip(("g_output", "g_gates", "output", "gates", "h0", "w_hh"), inputs, strict=True)
    )
    (batch, size), rows = given["h0"].shape, given["output"].shape[0]
    states = dict.fromkeys(("g_output", "output"), (rows, size))
    opened = dict.fromkeys(("g_gates", "gates"), (rows, 4 * size))
    check_shapes(op, given, states | opened | {"w_hh": (3 * size, size)})
    check_steps(op, params[0], rows, batch)
    return [(rows, 3 * size), (rows, 3 * size), (batch, size)]


@composite(dtype=(only_floating,) * 3, shape=_gated_gradient_shapes, amp="lower", eager=True)
def gru_layer_grad(g_output, g_gates, output, gates, h0, w_hh, steps: Plain):
    """Gradients of what the inputs, and what the states, give to the gates of a `gru_layer`, and of h0.

    S rows of all steps, B sequences, H numbers in a state.

    Shapes: g_output, g_gates, output, gates, h0 (B, H), w_hh (3*H, H) -> (S, 3*H), (S, 3*H), (B, H)
    Errors: ShapeError if sizes do not fit or there is no step.
    """
    seen, own = [], []
    outputs, earlier = Return(), before(output, h0, steps)
    for start, count in reversed(steps):
        opened, slopes = rows_of(gates, start, count), rows_of(g_gates, start, count)
        reset, update, new, recalled = (columns_of(opened, place, 4) for place in range(4))
        g_reset, g_update, g_new, g_recalled = (columns_of(slopes, place, 4) for place in range(4))
        g = outputs.met(rows_of(g_output, start, count))
        g_new = (g * (1 - update) + g_new) * (1 - new * new)
        g_update = (g * (rows_of(earlier, start, count) - new) + g_update) * update * (1 - update)
        g_reset = (g_new * recalled + g_reset) * reset * (1 - reset)
        seen.append(cat(g_reset, g_update, g_new, dim=1))
        own.append(cat(g_reset, g_update, g_new * reset + g_recalled, dim=1))
        outputs.handed = matmul(own[-1], w_hh) + g * update
    backward = tuple(reversed(steps))
    return by_rows(seen, backward), by_rows(own, backward), outputs.initial()


def _gated_gradients(gs: Any, outs: Any, h0: Any, w_hh: Any, b_hh: Any, steps: Any) -> tuple:
    output, gates = outs
    seen, own, for_h0 = gru_layer_grad(*gs, output, gates, h0, w_hh, steps)
    for_w_hh = matmul(transposed(own), before(output, h0, steps))
    return seen, for_h0, for_w_hh, None if b_hh is None else _sum(own, (0,))


# Joint because all come from one walk back through the steps.
gru_layer.joint_vjp(_gated_gradients)


@rnn_layer.examples
def _(make):
    for steps in WALKS:
        rows, batch = sizes_of(steps)
        for nonlinearity in ("tanh", "relu"):
            states = make(rows, 3, apart=0.1), make(batch, 3), make(3, 3, low=-0.1, high=0.1)
            yield case(*states, steps=steps, nonlinearity=nonlinearity)
    yield case(make(0, 2), make(0, 2), make(2, 2), steps=((0, 0),))
    yield fails(make(2, 2), make(2, 2), make(2, 3), steps=((0, 2),), error="w_hh has shape")
    yield fails(make(2, 2), make(2, 2), make(2, 2), steps=((0, 2),), nonlinearity="cos", error="Unknown")


@rnn_layer_grad.examples
def _(make):
    for steps in WALKS:
        rows, _ = sizes_of(steps)
        for nonlinearity in ("tanh", "relu"):
            states = make(rows, 3), make(rows, 3, apart=0.1), make(3, 3)
            yield case(*states, steps=steps, nonlinearity=nonlinearity)
    yield fails(make(2, 1), make(2, 2), make(2, 2), steps=((0, 2),), error="g has shape")


@gru_layer.examples
def _(make):
    for steps in WALKS:
        rows, batch = sizes_of(steps)
        for bias in (None, make(9)):
            yield case(make(rows, 9), make(batch, 3), make(9, 3), bias, steps=steps)
    yield case(make(0, 6), make(0, 2), make(6, 2), None, steps=((0, 0),))
    yield fails(make(2, 6), make(2, 2), make(6, 2), make(5), steps=((0, 2),), error="b_hh has shape")


@gru_layer_grad.examples
def _(make):
    for steps in WALKS:
        rows, batch = sizes_of(steps)
        gradients = make(rows, 3), make(rows, 12)
        yield case(*gradients, make(rows, 3), make(rows, 12), make(batch, 3), make(9, 3), steps=steps)
    wrong = make(2, 1), make(2, 8), make(2, 2), make(2, 8), make(2, 2), make(6, 2)
    yield fails(*wrong, steps=((0, 2),), error="g_output has shape")
