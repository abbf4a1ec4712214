"""Layers that change shapes."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentTypeError
from devtensor.core.spec import infer_size, normalize_dim
from devtensor.core.tensor import Tensor
from devtensor.functions.shaping import flatten
from devtensor.nn.modules.module import Module
from devtensor.ops.shape import as_shape


class Flatten(Module):
    """A run of dims made into one.

    Shapes: (*A, *run, *B) -> (*A, prod(run), *B)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One dim made into several; one size may be -1.

    Shapes: (*A, S, *B) -> (*A, *unflattened_size, *B)
    """

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        if not isinstance(dim, int):
            raise ArgumentTypeError(
                f"[Unflatten] dim {dim!r} names a dim; devtensor has none but numbered ones"
            )
        if not isinstance(unflattened_size, (tuple, list)):
            raise ArgumentTypeError(
                f"[Unflatten] unflattened_size must be a tuple of ints, but found type "
                f"{type(unflattened_size).__name__}"
            )
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        shape = tuple(input.array.shape)
        dim = normalize_dim("unflatten", self.dim, len(shape))
        sizes = infer_size("unflatten", self.unflattened_size, shape[dim])
        return as_shape(input, (*shape[:dim], *sizes, *shape[dim + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
