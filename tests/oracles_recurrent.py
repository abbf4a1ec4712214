"""References for recurrent layers: one sequence after the other, one step after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.special import expit

Array = Any
Steps = tuple[tuple[int, int], ...]
BENT: dict[str, tuple[Callable, Callable]] = {
    "tanh": (np.tanh, lambda shown: 1 - shown**2),
    "relu": (lambda x: np.maximum(x, 0), lambda shown: shown > 0),
}


def sequences(steps: Steps) -> Iterator[tuple[int, list[int]]]:
    """Every sequence with its rows, in the order in which they are walked."""
    for i in range(max(count for _, count in steps)):
        yield i, [start + i for start, count in steps if i < count]


def rnn_layer(gates: Array, h0: Array, w_hh: Array, steps: Steps, nonlinearity: str = "tanh") -> Array:
    output = np.zeros_like(gates)
    for i, rows in sequences(steps):
        h = h0[i]
        for row in rows:
            h = output[row] = BENT[nonlinearity][0](gates[row] + w_hh @ h)
    return output


def rnn_layer_grad(g: Array, output: Array, w_hh: Array, steps: Steps, nonlinearity: str = "tanh") -> tuple:
    heard = np.zeros_like(output)
    for_h0 = np.zeros((max(count for _, count in steps), output.shape[1]))
    for i, rows in sequences(steps):
        handed = 0
        for row in reversed(rows):
            heard[row] = (g[row] + handed) * BENT[nonlinearity][1](output[row])
            handed = heard[row] @ w_hh
        for_h0[i] = handed
    return heard, for_h0


def lstm_layer(
    gates: Array, h0: Array, c0: Array, w_hh: Array, w_hr: Array | None, steps: Steps
) -> tuple[Array, ...]:
    rows_count = gates.shape[0]
    output, cells = np.zeros((rows_count, h0.shape[1])), np.zeros((rows_count, c0.shape[1]))
    opened = np.zeros_like(gates)
    for n, rows in sequences(steps):
        h, c = h0[n], c0[n]
        for row in rows:
            i, f, g, o = np.split(gates[row] + w_hh @ h, 4)
            i, f, g, o = expit(i), expit(f), np.tanh(g), expit(o)
            c = cells[row] = f * c + i * g
            h = o * np.tanh(c)
            h = output[row] = h if w_hr is None else w_hr @ h
            opened[row] = np.concatenate([i, f, g, o])
    return output, cells, opened


def lstm_layer_grad(
    g_output: Array, g_cells: Array, g_gates: Array, cells: Array, gates: Array, c0: Array, w_hh: Array,
    w_hr: Array | None, steps: Steps,
) -> tuple[Array, ...]:  # fmt: skip
    heard, met = np.zeros_like(gates), np.zeros_like(g_output)
    for_h0, for_c0 = np.zeros((c0.shape[0], w_hh.shape[1])), np.zeros_like(c0)
    for n, rows in sequences(steps):
        handed, handed_cell = 0, 0
        for place in reversed(range(len(rows))):
            row = rows[place]
            i, f, g, o = np.split(gates[row], 4)
            met[row] = g_output[row] + handed
            hidden = met[row] if w_hr is None else met[row] @ w_hr
            cell = g_cells[row] + handed_cell + hidden * o * (1 - np.tanh(cells[row]) ** 2)
            previous = cells[rows[place - 1]] if place else c0[n]
            sums = np.concatenate([cell * g, cell * previous, cell * i, hidden * np.tanh(cells[row])])
            slopes = np.concatenate([i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o)])
            heard[row] = (sums + g_gates[row]) * slopes
            handed, handed_cell = heard[row] @ w_hh, cell * f
        for_h0[n], for_c0[n] = handed, handed_cell
    return heard, met, for_h0, for_c0


def gru_layer(gates: Array, h0: Array, w_hh: Array, b_hh: Array | None, steps: Steps) -> tuple[Array, Array]:
    size = h0.shape[1]
    output, opened = np.zeros((gates.shape[0], size)), np.zeros((gates.shape[0], 4 * size))
    for i, rows in sequences(steps):
        h = h0[i]
        for row in rows:
            own = w_hh @ h + (0 if b_hh is None else b_hh)
            seen = gates[row]
            r, z = np.split(expit(seen[: 2 * size] + own[: 2 * size]), 2)
            n = np.tanh(seen[2 * size :] + r * own[2 * size :])
            h = output[row] = (1 - z) * n + z * h
            opened[row] = np.concatenate([r, z, n, own[2 * size :]])
    return output, opened


def gru_layer_grad(
    g_output: Array, g_gates: Array, output: Array, gates: Array, h0: Array, w_hh: Array, steps: Steps
) -> tuple[Array, ...]:
    size = h0.shape[1]
    seen, own = np.zeros((2, gates.shape[0], 3 * size))
    for_h0 = np.zeros_like(h0)
    for i, rows in sequences(steps):
        handed = 0
        for place in reversed(range(len(rows))):
            row = rows[place]
            r, z, n, recalled = np.split(gates[row], 4)
            g_r, g_z, g_n, g_recalled = np.split(g_gates[row], 4)
            g = g_output[row] + handed
            previous = output[rows[place - 1]] if place else h0[i]
            for_n = (g * (1 - z) + g_n) * (1 - n * n)
            for_z = (g * (previous - n) + g_z) * z * (1 - z)
            for_r = (for_n * recalled + g_r) * r * (1 - r)
            seen[row] = np.concatenate([for_r, for_z, for_n])
            own[row] = np.concatenate([for_r, for_z, for_n * r + g_recalled])
            handed = own[row] @ w_hh + g * z
        for_h0[i] = handed
    return seen, own, for_h0


RECURRENT_ORACLES: dict[str, Callable[..., Any]] = {
    "rnn_layer": rnn_layer,
    "rnn_layer_grad": rnn_layer_grad,
    "lstm_layer": lstm_layer,
    "lstm_layer_grad": lstm_layer_grad,
    "gru_layer": gru_layer,
    "gru_layer_grad": gru_layer_grad,
}
