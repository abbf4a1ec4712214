"""Activations that `devtensor` itself offers, with the `dtype` that PyTorch takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.inplace import copy_into
from devtensor.core.tensor import Tensor
from devtensor.functions.reducing import as_type
from devtensor.ops import activation as ops

__all__ = ["log_softmax", "softmax"]


def softmax(input: Tensor, dim: int, dtype: Any = None, *, out: Tensor | None = None) -> Tensor:
    """exp(input) / sum(exp(input)) along `dim`, computed in `dtype` if one is given.

    Shapes: input (*S) -> (*S)
    """
    made = ops.softmax(as_type(input, dtype), dim)
    return made if out is None else copy_into(out, made)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """log(softmax(input)) along `dim`, computed in `dtype` if one is given.

    Shapes: input (*S) -> (*S)
    """
    return ops.log_softmax(as_type(input, dtype), dim)


METHODS: dict[str, Callable] = {"softmax": softmax, "log_softmax": log_softmax}
