"""A layer of long short-term memory whose steps all have as many rows: a step is a dozen calls.

All that does not go from step to step is computed for many steps at once. Other layers run the generic
kernels.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from devtensor.backend.arraylib import Library, recurrent
from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import BLOCK, spans

Steps = tuple[tuple[int, int], ...]
LIBRARY = Library(np)
FEW = 4
"""Steps below which preparing costs more than it saves."""
SMALL = 1 << 17
"""Elements up to which a weight is worth turning round; BLAS multiplies few rows faster by a larger one as it
stands, into columns."""


def is_even(steps: Steps) -> bool:
    """Whether steps, and not too few, have as many rows each and are walked from one end to the other."""
    count = steps[0][1]
    if len(steps) < FEW:
        return False
    walked = [start for start, rows in steps if rows == count]
    if count and steps[0][0]:
        walked.reverse()
    return count > 0 and walked == [*range(0, len(steps) * count, count)]


def by_step(x: ndarray, steps: Steps) -> ndarray:
    """(S, N) -> (T, B, N), a view: the steps in the order in which they are walked."""
    parted = x.reshape(len(steps), steps[0][1], -1)
    return parted[::-1] if steps[0][0] else parted


def lstm_layer(
    gates: ndarray, h0: ndarray, c0: ndarray, w_hh: ndarray, w_hr: ndarray | None, steps: Steps
) -> tuple[ndarray, ...]:
    """Sigmoids are computed as tanh(x / 2) / 2 + 1 / 2, so that one tanh serves all gates."""
    if w_hr is not None or not c0.size or not is_even(steps):
        return recurrent.lstm_layer(LIBRARY, gates, h0, c0, w_hh, w_hr, steps)
    scale = recurrent.vector(np, gates, 0.5, 0.5, 1, 0.5)
    shift = recurrent.vector(np, gates, 0.5, 0.5, 0, 0.5)
    output, cells = np.empty((2, gates.shape[0], c0.shape[1]), gates.dtype)
    opened = gates * scale
    states = by_step(opened, steps), by_step(cells, steps), by_step(output, steps)
    walk(*states, w_hh * scale[:, None], h0, c0, scale, shift)
    return output, cells, opened


def walk(
    opened: ndarray, cells: ndarray, output: ndarray, weight: ndarray, h: ndarray, c: ndarray, scale: ndarray,
    shift: ndarray,
) -> None:  # fmt: skip
    """All steps; `opened` holds what the inputs give to the gates, and then the gates."""
    size, batch = c.shape[1], c.shape[0]
    small = weight.size <= SMALL
    turned = np.ascontiguousarray(weight.T) if small else weight.T
    heard = np.empty((batch, 4 * size), opened.dtype, order="C" if small else "F")
    part = np.empty(c.shape, opened.dtype)
    each = [opened[:, :, at * size : (at + 1) * size] for at in range(4)]
    for step, let_in, kept, offered, let_out, cell, shown in zip(opened, *each, cells, output, strict=True):
        np.matmul(h, turned, heard)
        np.add(step, heard, step)
        np.tanh(step, step)
        np.multiply(step, scale, step)
        np.add(step, shift, step)
        np.multiply(kept, c, cell)
        np.multiply(let_in, offered, part)
        np.add(cell, part, cell)
        np.tanh(cell, shown)
        np.multiply(shown, let_out, shown)
        h, c = shown, cell


def lstm_layer_grad(
    g_output: ndarray, g_cells: ndarray, g_gates: ndarray, cells: ndarray, gates: ndarray, c0: ndarray,
    w_hh: ndarray, w_hr: ndarray | None, steps: Steps,
) -> tuple[ndarray, ...]:  # fmt: skip
    """What multiplies the gradients of a step's output and cell is computed before the walk, for as many
    steps at once as stay in the cache."""
    if w_hr is not None or not c0.size or not is_even(steps):
        return recurrent.lstm_layer_grad(
            LIBRARY, g_output, g_cells, g_gates, cells, gates, c0, w_hh, w_hr, steps
        )
    count, (batch, size) = len(steps), c0.shape
    heard, met = np.empty(gates.shape, gates.dtype), g_output.copy()
    slopes = by_step(heard, steps).reshape(count, batch, 4, size)
    opened = by_step(gates, steps).reshape(count, batch, 4, size)
    cell, own = by_step(cells, steps), by_step(g_gates, steps).reshape(opened.shape)
    g, states = by_step(met, steps), by_step(g_cells, steps)
    handed = np.zeros((2, batch, size), gates.dtype)
    asked = bool(g_gates.any())
    for span in [*spans(count, max(BLOCK // (batch * 4 * size), 1))][::-1]:
        first = cell[span.start - 1] if span.start else c0
        earlier = np.concatenate((first[None], cell[span.start : span.stop - 1]))
        through = factors(opened[span], np.tanh(cell[span]), earlier, slopes[span])
        besides = own[span] * steepness(opened[span]) if asked else None
        kept = opened[span][:, :, 1]
        handed = walk_back(slopes[span], besides, g[span], states[span], through, kept, w_hh, *handed)
    return heard, met, *handed


def steepness(opened: ndarray) -> ndarray:
    """The gates' derivatives by what they hear: s (1 - s), and (1 - t) (1 + t) of the one that is a tanh."""
    steep = 1 - opened
    steep[:, :, :2] *= opened[:, :, :2]
    steep[:, :, 2] *= opened[:, :, 2] + 1
    steep[:, :, 3] *= opened[:, :, 3]
    return steep


def factors(opened: ndarray, shown: ndarray, earlier: ndarray, slopes: ndarray) -> ndarray:
    """What takes the gradient of an output to its cell; and, into `slopes`, what takes those of both to what
    the gates hear: the cell's to the first three, the output's to the last."""
    slopes[...] = steepness(opened)
    slopes[:, :, 0] *= opened[:, :, 2]
    slopes[:, :, 1] *= earlier
    slopes[:, :, 2] *= opened[:, :, 0]
    slopes[:, :, 3] *= shown
    shown *= shown
    through = np.subtract(1, shown, shown)
    through *= opened[:, :, 3]
    return through


def walk_back(
    slopes: ndarray, besides: ndarray | None, met: ndarray, states: ndarray, through: ndarray, kept: ndarray,
    w_hh: ndarray, handed: ndarray, handed_cell: ndarray,
) -> tuple[ndarray, ndarray]:  # fmt: skip
    """What the first of these steps hands back to the output and the cell before it.

    `slopes` and `met` get the gradients of what the gates hear and of outputs, with all that came of them;
    the gates hear `besides` as well.
    """
    part, cell = np.empty_like(handed), np.empty_like(handed)
    for place in range(len(met) - 1, -1, -1):
        g, slope = met[place], slopes[place]
        np.add(g, handed, g)
        np.multiply(g, through[place], part)
        np.add(states[place], handed_cell, cell)
        np.add(cell, part, cell)
        doors = slope[:, :3]
        np.multiply(doors, cell[:, None], doors)
        np.multiply(slope[:, 3], g, slope[:, 3])
        if besides is not None:
            np.add(slope, besides[place], slope)
        np.matmul(slope.reshape(len(g), -1), w_hh, handed)
        np.multiply(cell, kept[place], handed_cell)
    return handed, handed_cell


FUNCTIONS: dict[str, Kernel] = {"lstm_layer": lstm_layer, "lstm_layer_grad": lstm_layer_grad}
