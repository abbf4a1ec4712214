"""Activations that `devtensor` itself offers, with the `dtype` that PyTorch takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.inplace import copy_into
from devtensor.core.tensor import Tensor
from devtensor.functions.reducing import in_asked
from devtensor.ops import activation as ops

__all__ = ["log_softmax", "softmax"]


def softmax(input: Tensor, dim: int, dtype: Any = None, *, out: Tensor | None = None) -> Tensor:
    """exp(input) / sum(exp(input)) along `dim`, computed in `dtype` if one is given.

    Shapes: input (*S) -> (*S)
    """
    made = in_asked(ops.softmax, input, dim, dtype)
    return made if out is None else copy_into(out, made)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """log(softmax(input)) along `dim`, computed in `dtype` if one is given.

    Shapes: input (*S) -> (*S)
    """
    return in_asked(ops.log_softmax, input, dim, dtype)


METHODS: dict[str, Callable] = {"softmax": softmax, "log_softmax": log_softmax}
