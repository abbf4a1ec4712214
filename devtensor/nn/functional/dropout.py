"""Dropout: some elements, or whole channels, made zero at random."""

from __future__ import annotations

from typing import Any

from devtensor.core.callers import warn
from devtensor.core.dtype import float32
from devtensor.core.errors import ArgumentError, DTypeError, ShapeError
from devtensor.core.inplace import copy_into
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.functions.formats import like
from devtensor.nn.functional.geometry import floats_only
from devtensor.ops.compare import lt, where
from devtensor.ops.create import cast
from devtensor.random import generator_for

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]

# The value that SELU tends to far below 0: -scale * alpha.
SELU_FLOOR = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


def _check(op: str, p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(f"[{op}] dropout probability has to be between 0 and 1, but got {p}")


def _kept(input: Tensor, shape: tuple[int, ...], p: float) -> Any:
    """True where an element stays, which it does with probability 1 - p."""
    with no_grad():
        return lt(generator_for(input.kind.device).uniform(shape, float32), 1.0 - p)


def _into(input: Tensor, result: Tensor, inplace: bool) -> Tensor:
    return copy_into(input, result) if inplace else result


def _dropped(input: Any, shape: tuple[int, ...], p: float, inplace: bool) -> Tensor:
    if p == 0.0 or 0 in input.array.shape:
        return input
    if p < 1.0 and not input.kind.dtype.differentiable:
        raise DTypeError(
            f"[dropout] result type Float can't be cast to the desired output type {input.kind.dtype.name}"
        )
    if p == 1.0:
        return _into(input, input * 0, inplace)
    scale = 1.0 / (1.0 - p)
    return _into(input, input * (cast(_kept(input, shape, p), input.kind.dtype) * scale), inplace)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element made zero with probability `p`; the others are divided by 1 - p.

    Shapes: input (*S) -> (*S)
    Source: Srivastava et al. 2014.
    Errors: ArgumentError unless p is in [0, 1].
    """
    _check("dropout", p)
    return _dropped(input, tuple(input.array.shape), p, inplace) if training else input


def _channels(
    op: str, input: Tensor, p: float, training: bool, inplace: bool, ndims: tuple[int, ...]
) -> Tensor:
    _check(op, p)
    shape = tuple(input.array.shape)
    if len(shape) not in ndims:
        text = f"[{op}] Received a {len(shape)}-D input; it needs {' or '.join(map(str, ndims))} dims"
        if op == "dropout1d":
            raise ShapeError(text)
        warn(f"{text}, and others are deprecated")
    if not training:
        return input
    lead = 2 if op == "dropout2d" or len(shape) == max(ndims) else 1
    return _dropped(input, (*shape[:lead], *(1,) * (len(shape) - lead)), p, inplace)


def feature_dropout(input: Tensor, p: float, training: bool, inplace: bool = False) -> Tensor:
    """Whole channels of a (N, C, *S) tensor made zero with probability `p`; others divided by 1 - p."""
    _check("feature_dropout", p)
    shape = tuple(input.array.shape)
    lead = shape[:2]
    return _dropped(input, (*lead, *(1,) * (len(shape) - 2)), p, inplace) if training else input


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of a (N, C, L) tensor made zero with probability `p`; others divided by 1 - p."""
    return _channels("dropout1d", input, p, training, inplace, (2, 3))


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of a (N, C, H, W) tensor made zero with probability `p`; others divided by 1 - p.

    Source: with three dims the first is the batch, as in PyTorch.
    """
    return _channels("dropout2d", input, p, training, inplace, (3, 4))


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of a (N, C, D, H, W) tensor made zero with probability `p`; others divided by 1 - p."""
    return _channels("dropout3d", input, p, training, inplace, (4, 5))


def _with_alpha(input: Any, shape: tuple[int, ...], p: float, inplace: bool) -> Tensor:
    """Dropped elements take SELU's floor, and all are scaled so that mean and variance stay."""
    if p == 0.0:
        return input
    if p == 1.0:
        return _into(input, input * 0.0, inplace)
    scale = ((1 - p) * (1 + p * SELU_FLOOR**2)) ** -0.5
    kept = where(_kept(input, shape, p), input, SELU_FLOOR)
    mixed = like(kept * scale - scale * p * SELU_FLOOR, input, None)
    return _into(input, mixed, inplace)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout for SELU networks: mean and variance stay.

    Source: Klambauer et al. 2017.
    """
    _check("alpha_dropout", p)
    return _with_alpha(input, tuple(input.array.shape), p, inplace) if training else input


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels."""
    _check("feature_alpha_dropout", p)
    if training and 0.0 < p < 1.0:
        floats_only("feature_alpha_dropout", input)
    shape = tuple(input.array.shape)
    return _with_alpha(input, (*shape[:2], *(1,) * (len(shape) - 2)), p, inplace) if training else input
