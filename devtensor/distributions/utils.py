"""What distributions share: broadcasting of parameters, probabilities and logits, triangles as vectors."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import default_dtype
from devtensor.core.errors import ArgumentError
from devtensor.core.state import enable_grad
from devtensor.core.tensor import Size, Tensor
from devtensor.functions.activations import softmax
from devtensor.functions.comparing import broadcast_tensors
from devtensor.functions.ranges import arange
from devtensor.functions.sampling import randn
from devtensor.functions.settings import finfo
from devtensor.interop.making import tensor

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]

euler_constant = 0.57721566490153286060
Number = (int, float, bool)


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Tensors broadcast against each other; numbers take the dtype and device of the first tensor.

    Errors: ArgumentError for what is neither a tensor nor a number.
    """
    if not all(isinstance(value, (Tensor, *Number)) for value in values):
        raise ArgumentError(
            "[broadcast_all] Input arguments must all be instances of Number, torch.Tensor or objects "
            f"implementing __torch_function__; got {', '.join(type(value).__name__ for value in values)}"
        )
    first = next((value for value in values if isinstance(value, Tensor)), None)
    facts: dict[str, Any] = (
        {"dtype": default_dtype()} if first is None else {"dtype": first.dtype, "device": first.device}
    )
    return tuple(broadcast_tensors(*(v if isinstance(v, Tensor) else tensor(v, **facts) for v in values)))


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Tensor:
    return randn(tuple(shape), dtype=dtype, device=device)


def _sum_rightmost(value: Any, dim: int) -> Any:
    """The sum over the last `dim` dims."""
    return value.reshape((*value.shape[:-dim], -1)).sum(-1) if dim else value


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities from their log odds, or from logarithms up to a constant in the last dim."""
    return logits.sigmoid() if is_binary else softmax(logits, -1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept off 0 and 1 by the dtype's smallest step."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Log odds, or logarithms, of probabilities kept off 0 and 1."""
    inside = clamp_probs(probs)
    return inside.log() - (-inside).log1p() if is_binary else inside.log()


class lazy_property:
    """A property that is computed once, with gradients on, and then held."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        functools.update_wrapper(self, wrapped)  # type: ignore[arg-type]

    def __get__(self, instance: Any, obj_type: Any = None) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


def _triangle(size: int, diag: int, device: Any) -> Tensor:
    """Which places of a square lie on or below the diagonal."""
    places = arange(size, device=device)
    return places < places.view(-1, 1) + (diag + 1)


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The lower triangle's elements, row by row, as a vector.

    Shapes: mat (*B, D, D) -> (*B, K)
    Errors: ArgumentError for a diagonal outside of the matrix.
    """
    size = mat.shape[-1]
    if not -size <= diag < size:
        raise ArgumentError(f"[tril_matrix_to_vec] diag ({diag}) provided is outside [{-size}, {size - 1}].")
    return mat[..., _triangle(size, diag, mat.device)]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """The matrix whose lower triangle holds a vector's elements, row by row, with 0 elsewhere.

    Shapes: vec (*B, K) -> (*B, D, D)
    Errors: ArgumentError for a length that no such triangle has.
    """
    count, shift = vec.shape[-1], 1 + 2 * diag
    root = (math.sqrt(shift**2 + 8 * count + 4 * abs(diag) * (diag + 1)) - shift) / 2
    size = round(root)
    if abs(size - root) > finfo(vec.dtype).eps:
        raise ArgumentError(
            f"[vec_to_tril_matrix] The size of last dimension is {count} which cannot be expressed as the "
            "lower triangular part of a square D x D matrix."
        )
    made = vec.new_zeros(Size((*vec.shape[:-1], size, size)))
    made[..., _triangle(size, diag, vec.device)] = vec
    return made
