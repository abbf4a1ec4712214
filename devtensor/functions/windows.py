"""Windows: weights that fade a stretch of signal in and out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from devtensor.core.arguments import as_index
from devtensor.core.device import resolve
from devtensor.core.dtype import as_dtype, default_dtype, float64
from devtensor.core.errors import DTypeError, ShapeError
from devtensor.core.naming import named
from devtensor.core.tensor import Tensor
from devtensor.functions.creation import finish, ones
from devtensor.ops.create import arange, cast
from devtensor.ops.functions import cos, exp, sin, sqrt
from devtensor.ops.parts import abs
from devtensor.ops.probability import i0

__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window"]

# Weights of places: a function of where an element stands and of how many steps the window has.
Shape = Callable[[Any, int], Any]


def drawn(
    shape: Shape, length: int, periodic: bool, dtype: Any, device: Any, requires_grad: bool, pin_memory: bool
) -> Tensor:
    """The window of a shape; a periodic one is a longer one without its last element.

    Errors: ShapeError for a negative length, DTypeError unless the dtype is floating.
    """
    kind = default_dtype() if dtype is None else as_dtype(dtype)
    length = as_index("window", "window_length", length)
    if length < 0:
        raise ShapeError(f"[window] window_length is {length}; it requires a non-negative window length")
    if not kind.is_floating_point:
        raise DTypeError(f"[window] dtype is {kind}; it expects floating point dtypes")
    if length < 2:
        return ones(length, dtype=kind, device=device, requires_grad=requires_grad, pin_memory=pin_memory)
    line = arange(0, 1, length, float64, resolve(device))
    return finish(
        cast(shape(line, length if periodic else length - 1), kind), requires_grad, pin_memory=pin_memory
    )


def cosines(weights: Sequence[float]) -> Shape:
    """A sum of cosines of multiples of the angle that goes round once over the window, signs in turn."""

    def shape(line: Any, steps: int) -> Any:
        angle = line * (2 * math.pi / steps)
        return sum((-1) ** k * weight * cos(angle * k) for k, weight in enumerate(weights))

    return shape


def triangle(line: Any, steps: int) -> Any:
    return 1 - abs(line * (2 / steps) - 1)


def kaiser(beta: float) -> Shape:
    """Source: Kaiser, Nonrecursive digital filter design using the I0-sinh window function (1974)."""

    def shape(line: Any, steps: int) -> Any:
        place = line * (2 / steps) - 1
        return i0(sqrt((1 - place * place).clamp(min=0)) * beta) / i0(place * 0 + beta)

    return shape


def half_wave(line: Any, steps: int) -> Any:
    return sin((line + 0.5) * (math.pi / (steps + 1)))


def bell(std: float) -> Shape:
    """The normal distribution's."""
    return lambda line, steps: exp(((line - steps / 2) / (std * math.sqrt(2))) ** 2 * -1)


def decay(center: float | None, tau: float) -> Shape:
    """Falls off on both sides of the centre, to 1/e at a distance of tau."""
    return lambda line, steps: exp(abs(line - (steps / 2 if center is None else center)) * (-1 / tau))


def _window(name: str, doc: str, shape: Shape) -> Callable:
    def window(
        window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any =
        None,
        pin_memory: bool = False, requires_grad: bool = False,
    ) -> Tensor:  # fmt: skip
        return drawn(shape, window_length, periodic, dtype, device, requires_grad, pin_memory)

    return named(window, name, f"The {doc} window.\n\nShapes: -> (window_length,)")


hann_window = _window("hann_window", "Hann", cosines((0.5, 0.5)))
blackman_window = _window("blackman_window", "Blackman", cosines((0.42, 0.5, 0.08)))
bartlett_window = _window("bartlett_window", "Bartlett, a triangle as", triangle)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None,
    layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The Hamming window: alpha - beta * cos.

    Shapes: -> (window_length,)
    """
    return drawn(cosines((alpha, beta)), window_length, periodic, dtype, device, requires_grad, pin_memory)


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The Kaiser window, narrower the larger beta.

    Shapes: -> (window_length,)
    """
    return drawn(kaiser(beta), window_length, periodic, dtype, device, requires_grad, pin_memory)
