"""Windows: weights that fade a stretch of signal in and out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.core.device import resolve
from devtensor.core.dtype import as_dtype, default_dtype, float64
from devtensor.core.tensor import Tensor
from devtensor.functions.creation import finish, ones
from devtensor.ops.create import arange, cast
from devtensor.ops.elementwise import abs
from devtensor.ops.functions import cos

__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window"]


def _window(name: str, doc: str, weights: tuple[float, ...]) -> Callable:
    """A sum of cosines of multiples of the angle that goes round once over the window."""

    def window(
        window_length: int,
        periodic: bool = True,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:
        kind = default_dtype() if dtype is None else as_dtype(dtype)
        if window_length < 2:
            return ones(window_length, dtype=kind, device=device, requires_grad=requires_grad)
        turns = 2 * math.pi / (window_length if periodic else window_length - 1)
        angle = arange(0, turns, window_length, float64, resolve(device))
        made: Any = sum((-1) ** k * weight * cos(angle * k) for k, weight in enumerate(weights))
        return finish(cast(made, kind), requires_grad)

    window.__name__ = window.__qualname__ = name
    window.__doc__ = f"The {doc} window.\n\nShapes: -> (window_length,)"
    return window


hann_window = _window("hann_window", "Hann", (0.5, 0.5))


hamming_window = _window("hamming_window", "Hamming", (0.54, 0.46))


blackman_window = _window("blackman_window", "Blackman", (0.42, 0.5, 0.08))


def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None
) -> Tensor:
    """The Bartlett window, a triangle.

    Shapes: -> (window_length,)
    """
    kind = default_dtype() if dtype is None else as_dtype(dtype)
    if window_length < 2:
        return ones(window_length, dtype=kind, device=device)
    half = (window_length if periodic else window_length - 1) / 2
    line = arange(0, 1, window_length, float64, resolve(device))
    return cast(1 - abs(line / half - 1), kind)
