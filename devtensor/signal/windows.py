"""Windows, symmetric by default: weights that fade a stretch of signal in and out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devtensor.core.dtype import as_dtype, default_dtype
from devtensor.core.errors import ArgumentError
from devtensor.core.naming import named
from devtensor.core.tensor import Tensor
from devtensor.functions.windows import Shape, bell, cosines, decay, drawn, half_wave, triangle
from devtensor.functions.windows import kaiser as kaiser_shape

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def _checked(
    name: str, shape: Shape, M: int, sym: bool, dtype: Any, device: Any, requires_grad: bool
) -> Tensor:
    """The window of M elements.

    Errors: ArgumentError for a negative M, or a dtype that is not float32 or float64.
    """
    kind = default_dtype() if dtype is None else as_dtype(dtype)
    if M < 0:
        raise ArgumentError(f"[{name}] requires non-negative window length, got M={M}")
    if kind.name not in ("float32", "float64"):
        raise ArgumentError(f"[{name}] expects float32 or float64 dtypes, got: {kind}")
    return drawn(shape, M, not sym, kind, device, requires_grad, pin_memory=False)


def _plain(name: str, doc: str, shape: Shape) -> Any:
    def window(
        M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False,
    ) -> Tensor:  # fmt: skip
        return _checked(name, shape, M, sym, dtype, device, requires_grad)

    return named(window, name, f"The {doc} window.\n\nShapes: -> (M,)")


bartlett = _plain("bartlett", "Bartlett, a triangle as", triangle)
blackman = _plain("blackman", "Blackman", cosines((0.42, 0.5, 0.08)))
cosine = _plain("cosine", "cosine, half a wave as", half_wave)
hamming = _plain("hamming", "Hamming", cosines((0.54, 0.46)))
hann = _plain("hann", "Hann", cosines((0.5, 0.5)))
nuttall = _plain("nuttall", "Nuttall", cosines((0.3635819, 0.4891775, 0.1365995, 0.0106411)))


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The exponential window, which falls by 1/e over a distance of tau from its centre.

    Shapes: -> (M,)
    """
    if tau <= 0:
        raise ArgumentError(f"[exponential] Tau must be positive, got: {tau}")
    if sym and center is not None:
        raise ArgumentError("[exponential] Center must be None for symmetric windows; set sym=False")
    return _checked("exponential", decay(center, tau), M, sym, dtype, device, requires_grad)


def gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The window of the normal distribution with standard deviation std.

    Shapes: -> (M,)
    """
    if std <= 0:
        raise ArgumentError(f"[gaussian] Standard deviation must be positive, got: {std}")
    return _checked("gaussian", bell(std), M, sym, dtype, device, requires_grad)


def kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The Kaiser window, narrower the larger beta.

    Shapes: -> (M,)
    """
    if beta < 0:
        raise ArgumentError(f"[kaiser] beta must be non-negative, got: {beta}")
    return _checked("kaiser", kaiser_shape(beta), M, sym, dtype, device, requires_grad)


def general_cosine(
    M: int, *, a: Iterable, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The window of a sum of cosines with weights `a`, signs in turn.

    Shapes: -> (M,)
    """
    if not isinstance(a, Iterable):
        raise TypeError("[general_cosine] Coefficients must be a list/tuple; give one weight for each cosine")
    weights = tuple(a)
    if not weights:
        raise ArgumentError("[general_cosine] Coefficients cannot be empty; give one weight for each cosine")
    return _checked("general_cosine", cosines(weights), M, sym, dtype, device, requires_grad)


def general_hamming(
    M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The Hamming window with weight alpha for its level: alpha - (1 - alpha) * cos.

    Shapes: -> (M,)
    """
    return general_cosine(
        M, a=(alpha, 1.0 - alpha), sym=sym, dtype=dtype, device=device, requires_grad=requires_grad
    )
