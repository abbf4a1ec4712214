"""Recurrent layers: all steps in one call, on arrays that are written in place.

Matrices are multiplied with the weight at the left, which BLAS does faster for few rows than the other way
round. Gates that are sigmoids are computed as tanh(x / 2) / 2 + 1 / 2, so that one tanh serves all gates:
exact to rounding beside 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.backend.arraylib.library import Library
from devtensor.backend.protocol import Array, Kernel

Steps = tuple[tuple[int, int], ...]


def kernels(lib: Library) -> dict[str, Kernel]:
    """The layers and their gradients."""
    return lib.bind(FUNCTIONS)


class Product:
    """`state @ weight.T` for the states of one step after the other, in memory that is used again."""

    def __init__(self, xp: Any, weight: Array) -> None:
        self.xp = xp
        self.weight = weight
        self.held = xp.empty((weight.shape[0], 0), weight.dtype)

    def __call__(self, state: Array) -> Array:
        if self.held.shape[1] != state.shape[0]:
            self.held = self.xp.empty((self.weight.shape[0], state.shape[0]), self.weight.dtype)
        self.xp.matmul(self.weight, state.transpose(), out=self.held)
        return self.held.transpose()


def fitted(xp: Any, state: Array, initial: Array, count: int) -> Array:
    """The last step's state for a step of `count` rows."""
    known = state.shape[0]
    if known == count:
        return state
    if known > count:
        return state[:count]
    return xp.concatenate((state, initial[known:count]))


def previous(xp: Any, states: Array, initial: Array, steps: Steps, place: int) -> Array:
    """The state from which the step at this place starts."""
    count = steps[place][1]
    if not place:
        return initial[:count]
    start, known = steps[place - 1]
    return fitted(xp, states[start : start + known], initial, count)


def vector(xp: Any, like: Array, *parts: float) -> Array:
    """A row of equal parts, each of one number, as wide as `like`."""
    made = xp.empty((like.shape[1],), like.dtype)
    size = like.shape[1] // len(parts)
    for place, value in enumerate(parts):
        made[place * size : (place + 1) * size] = value
    return made


def hand_back(handed: Array | None, met: Array, initial: Array) -> None:
    """Add what the step after handed back to the gradient of a step's state; the rest is the initial
    state's."""
    if handed is None:
        return
    known, count = handed.shape[0], met.shape[0]
    if known == count:
        met += handed
    elif known < count:
        met[:known] += handed
    else:
        met += handed[:count]
        initial[count:known] = handed[count:]


def rnn_layer(lib: Library, gates: Array, h0: Array, w_hh: Array, steps: Steps, nonlinearity: str) -> Array:
    xp = lib.xp
    output = xp.empty(gates.shape, gates.dtype)
    product, h = Product(xp, w_hh), h0[: steps[0][1]]
    for start, count in steps:
        rows = slice(start, start + count)
        heard = product(fitted(xp, h, h0, count))
        h = output[rows]
        xp.add(gates[rows], heard, out=h)
        if nonlinearity == "tanh":
            xp.tanh(h, out=h)
        else:
            xp.maximum(h, 0, out=h)
    return output


def rnn_layer_grad(
    lib: Library, g: Array, output: Array, w_hh: Array, steps: Steps, nonlinearity: str
) -> tuple[Array, ...]:
    xp = lib.xp
    heard = g.copy()
    initial = xp.empty((max(count for _, count in steps), output.shape[1]), g.dtype)
    handed = None
    for start, count in reversed(steps):
        slopes, shown = heard[start : start + count], output[start : start + count]
        hand_back(handed, slopes, initial)
        if nonlinearity == "tanh":
            steep = shown * shown
            xp.subtract(1, steep, out=steep)
            slopes *= steep
        else:
            slopes[...] = xp.where(shown > 0, slopes, 0)
        handed = xp.matmul(slopes, w_hh)
    initial[: handed.shape[0]] = handed  # type: ignore[union-attr]
    return heard, initial


def lstm_layer(
    lib: Library, gates: Array, h0: Array, c0: Array, w_hh: Array, w_hr: Array | None, steps: Steps
) -> tuple[Array, ...]:
    xp, size = lib.xp, c0.shape[1]
    output = xp.empty((gates.shape[0], h0.shape[1]), gates.dtype)
    cells, opened = xp.empty((gates.shape[0], size), gates.dtype), xp.empty(gates.shape, gates.dtype)
    scale, shift = vector(xp, gates, 0.5, 0.5, 1, 0.5), vector(xp, gates, 0.5, 0.5, 0, 0.5)
    product, h, c = Product(xp, w_hh), h0[: steps[0][1]], c0[: steps[0][1]]
    for start, count in steps:
        rows = slice(start, start + count)
        heard, earlier = product(fitted(xp, h, h0, count)), fitted(xp, c, c0, count)
        step, c, h = opened[rows], cells[rows], output[rows]
        xp.add(gates[rows], heard, out=step)
        step *= scale
        xp.tanh(step, out=step)
        step *= scale
        step += shift
        xp.multiply(step[:, size : 2 * size], earlier, out=c)
        c += step[:, :size] * step[:, 2 * size : 3 * size]
        shown = xp.tanh(c, out=h) if w_hr is None else xp.tanh(c)
        shown *= step[:, 3 * size :]
        if w_hr is not None:
            xp.matmul(shown, w_hr.transpose(), out=h)
    return output, cells, opened


def lstm_layer_grad(
    lib: Library, g_output: Array, g_cells: Array, g_gates: Array, cells: Array, gates: Array, c0: Array,
    w_hh: Array, w_hr: Array | None, steps: Steps,
) -> tuple[Array, ...]:  # fmt: skip
    xp, size = lib.xp, c0.shape[1]
    heard, met = xp.empty(gates.shape, gates.dtype), g_output.copy()
    for_h0, for_c0 = xp.empty((c0.shape[0], w_hh.shape[1]), gates.dtype), xp.empty(c0.shape, c0.dtype)
    bend = vector(xp, gates, 0, 0, 1, 0)
    handed = handed_cell = None
    for place in reversed(range(len(steps))):
        start, count = steps[place]
        rows = slice(start, start + count)
        step, g, slopes = gates[rows], met[rows], heard[rows]
        hand_back(handed, g, for_h0)
        hidden = g if w_hr is None else xp.matmul(g, w_hr)
        shown, cell = xp.tanh(cells[rows]), g_cells[rows].copy()
        hand_back(handed_cell, cell, for_c0)
        xp.multiply(hidden, shown, out=slopes[:, 3 * size :])
        shown *= shown
        xp.subtract(1, shown, out=shown)
        shown *= step[:, 3 * size :]
        shown *= hidden
        cell += shown
        xp.multiply(cell, step[:, 2 * size : 3 * size], out=slopes[:, :size])
        xp.multiply(cell, previous(xp, cells, c0, steps, place), out=slopes[:, size : 2 * size])
        xp.multiply(cell, step[:, :size], out=slopes[:, 2 * size : 3 * size])
        slopes += g_gates[rows]
        # (1 - s) s where the gate is a sigmoid, (1 - t)(1 + t) where it is a tanh.
        steep = 1 - step
        slopes *= steep
        xp.add(step, bend, out=steep)
        slopes *= steep
        handed, handed_cell = xp.matmul(slopes, w_hh), cell * step[:, size : 2 * size]
    for_h0[: steps[0][1]], for_c0[: steps[0][1]] = handed, handed_cell
    return heard, met, for_h0, for_c0


def gru_layer(
    lib: Library, gates: Array, h0: Array, w_hh: Array, b_hh: Array | None, steps: Steps
) -> tuple[Array, ...]:
    xp, size = lib.xp, h0.shape[1]
    output = xp.empty((gates.shape[0], size), gates.dtype)
    opened = xp.empty((gates.shape[0], 4 * size), gates.dtype)
    product, h = Product(xp, w_hh), h0[: steps[0][1]]
    for start, count in steps:
        rows = slice(start, start + count)
        earlier = fitted(xp, h, h0, count)
        own, seen, step, h = product(earlier), gates[rows], opened[rows], output[rows]
        if b_hh is not None:
            own += b_hh
        doors, new = step[:, : 2 * size], step[:, 2 * size : 3 * size]
        xp.add(seen[:, : 2 * size], own[:, : 2 * size], out=doors)
        doors *= 0.5
        xp.tanh(doors, out=doors)
        doors *= 0.5
        doors += 0.5
        step[:, 3 * size :] = own[:, 2 * size :]
        xp.multiply(step[:, :size], step[:, 3 * size :], out=new)
        new += seen[:, 2 * size :]
        xp.tanh(new, out=new)
        xp.subtract(earlier, new, out=h)
        h *= step[:, size : 2 * size]
        h += new
    return output, opened


def gru_layer_grad(
    lib: Library, g_output: Array, g_gates: Array, output: Array, gates: Array, h0: Array, w_hh: Array,
    steps: Steps,
) -> tuple[Array, ...]:  # fmt: skip
    xp, size = lib.xp, h0.shape[1]
    wide = (output.shape[0], 3 * size)
    seen, own, initial = (xp.empty(shape, gates.dtype) for shape in (wide, wide, h0.shape))
    handed = None
    for place in reversed(range(len(steps))):
        start, count = steps[place]
        rows = slice(start, start + count)
        slopes, g = seen[rows], g_output[rows].copy()
        hand_back(handed, g, initial)
        reset, update, new, recalled = quarters(gates[rows], size)
        through_reset, through_update, through_new = quarters(slopes, size)[:3]
        xp.subtract(1, update, out=through_new)
        xp.subtract(previous(xp, output, h0, steps, place), new, out=through_update)
        through_new *= g
        through_update *= g
        slopes[:, size:] += g_gates[rows, size : 3 * size]
        through_new *= 1 - new * new
        xp.multiply(through_new, recalled, out=through_reset)
        through_reset += g_gates[rows, :size]
        doors = gates[rows, : 2 * size]
        slopes[:, : 2 * size] *= doors * (1 - doors)
        own[rows, : 2 * size] = slopes[:, : 2 * size]
        xp.multiply(through_new, reset, out=own[rows, 2 * size :])
        own[rows, 2 * size :] += g_gates[rows, 3 * size :]
        handed = xp.matmul(own[rows], w_hh)
        g *= update
        handed += g
    initial[: steps[0][1]] = handed
    return seen, own, initial


def quarters(gates: Array, size: int) -> list[Array]:
    """The columns of one gate after the other."""
    return [gates[:, start : start + size] for start in range(0, gates.shape[1], size)]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "rnn_layer": rnn_layer,
    "rnn_layer_grad": rnn_layer_grad,
    "lstm_layer": lstm_layer,
    "lstm_layer_grad": lstm_layer_grad,
    "gru_layer": gru_layer,
    "gru_layer_grad": gru_layer_grad,
}
