"""Similarities and distances as modules."""

from __future__ import annotations

from devtensor.core.tensor import Tensor
from devtensor.nn import functional
from devtensor.nn.modules.module import Module


class CosineSimilarity(Module):
    """Cosine of the angle between two tensors along `dim`.

    Shapes: x1 (*S), x2 (*S) -> S without dim
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return functional.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of the difference of two tensors over the last dim.

    Shapes: x1 (*B, D), x2 (*B, D) -> (*B,), or (*B, 1) with keepdim
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return functional.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
