"""How near two tensors are to each other."""

from __future__ import annotations

from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.nn.functional.normalization import vector_norm
from devtensor.ops.elementwise import maximum

__all__ = ["cosine_similarity", "pairwise_distance"]


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Cosine of the angle between `x1` and `x2` along `dim`; each length is taken to be at least `eps`.

    Shapes: x1 (*A), x2 (*B) -> broadcast(*A, *B) without dim
    """
    first = _unit(x1, dim, eps)
    second = _unit(x2, dim, eps)
    return (first * second).sum(dim)


def _unit(input: Any, dim: int, eps: float) -> Any:
    return input / maximum(vector_norm(input, 2, dim), eps)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps over the last dim.

    Shapes: x1 (*B, D), x2 (*B, D) -> (*B,), or (*B, 1) with keepdim
    """
    distance = vector_norm(x1 - x2 + eps, p, -1)
    return distance if keepdim else distance.squeeze(-1)
