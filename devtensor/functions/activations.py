"""Activations that `devtensor` itself offers, with the `dtype` that PyTorch takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor
from devtensor.functions.out import into_exactly
from devtensor.functions.reducing import in_asked
from devtensor.ops import softmax as ops
from devtensor.ops.create import copy

__all__ = ["log_softmax", "softmax"]


def along(op: Callable, input: Tensor, dim: int, dtype: Any) -> Tensor:
    """A softmax in the dtype that was asked for; of no integers a copy, as in PyTorch."""
    nothing = dtype is None and isinstance(input, Tensor) and 0 in input.array.shape
    if nothing and not input.dtype.differentiable:
        normalize_dim("softmax", dim, input.array.ndim)
        return copy(input)
    return in_asked(op, input, dim, dtype)


def softmax(input: Tensor, dim: int, dtype: Any = None, *, out: Tensor | None = None) -> Tensor:
    """exp(input) / sum(exp(input)) along `dim`, computed in `dtype` if one is given.

    Shapes: input (*S) -> (*S)
    """
    return into_exactly(out, along(ops.softmax, input, dim, dtype))


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """log(softmax(input)) along `dim`, computed in `dtype` if one is given.

    Shapes: input (*S) -> (*S)
    """
    return along(ops.log_softmax, input, dim, dtype)


METHODS: dict[str, Callable] = {"softmax": softmax, "log_softmax": log_softmax}
