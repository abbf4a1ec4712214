"""Complex numbers in PyTorch's spellings: their parts, conjugates and views of them as pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import AutogradError
from devtensor.core.inplace import copy_into
from devtensor.core.tensor import Tensor
from devtensor.functions.formats import in_order
from devtensor.functions.out import into_exactly
from devtensor.ops import parts
from devtensor.ops.parts import abs, sgn, view_as_complex, view_as_real

__all__ = [
    "abs",
    "angle",
    "complex",
    "conj",
    "conj_physical",
    "imag",
    "is_neg",
    "polar",
    "real",
    "resolve_conj",
    "resolve_neg",
    "sgn",
    "view_as_complex",
    "view_as_real",
]


def complex(real: Tensor, imag: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Complex numbers of their real and imaginary parts."""
    return into_exactly(out, parts.complex(real, imag))


def polar(abs: Tensor, angle: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Complex numbers of their distance from 0 and their angle in radians."""
    return into_exactly(out, parts.polar(abs, angle))


def angle(input: Tensor) -> Tensor:
    """The angle of a complex number in radians; of a real one 0 or pi.

    Shapes: input (*S) -> (*S)
    """
    made = parts.angle(input)
    return in_order(made) if input.dtype.is_complex else made


def real(input: Tensor) -> Tensor:
    """The real part as a view; a real tensor itself."""
    return parts.as_real(input)


def imag(input: Tensor) -> Tensor:
    """The imaginary part as a view.

    Errors: AutogradError, a RuntimeError, for real tensors.
    """
    if not input.kind.dtype.is_complex:
        raise AutogradError(
            f"[imag] imag is not implemented for tensors with non-complex dtypes, got "
            f"{input.kind.dtype.name}; there is none to read"
        )
    return parts.imag(input)


def conj(input: Tensor) -> Tensor:
    """The conjugate; a real tensor itself.

    Source: PyTorch gives a view that conjugates when read; here it is computed at once.
    """
    return parts.conjugate(input)


def conj_physical(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The conjugate in memory of its own; a real tensor itself."""
    return into_exactly(out, parts.conjugate(input))


def is_neg(input: Tensor) -> bool:
    """Whether the tensor is negated when read: never."""
    return False


def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: nothing is left to be conjugated."""
    return input


def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself: nothing is left to be negated."""
    return input


def _set_real(self: Tensor, value: Any) -> None:
    copy_into(real(self), value)


def _set_imag(self: Tensor, value: Any) -> None:
    copy_into(imag(self), value)


METHODS: dict[str, Callable] = {
    function.__name__: function
    for function in (angle, conj, conj_physical, is_neg, resolve_conj, resolve_neg)
}
PROPERTIES: dict[str, Any] = {
    "real": property(real, _set_real),
    "imag": property(imag, _set_imag),
}
