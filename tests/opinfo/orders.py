"""A sample's tensors with their dims in other orders in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import opinfo.carrying as carrying

# The order of dims in memory, outermost first, for so many dims: in rows, in columns, with the last two
# exchanged, with channels innermost, with the first two exchanged. None stands for gaps.
ORDERS: list[Callable[[int], list[int]] | None] = [
    None,
    lambda ndim: list(range(ndim)),
    lambda ndim: list(range(ndim))[::-1],
    lambda ndim: [*range(ndim - 2), ndim - 1, ndim - 2],
    lambda ndim: [0, *range(2, ndim), 1],
    lambda ndim: [1, 0, *range(2, ndim)],
]


def reordered(sample: Any, order: Callable[[int], list[int]]) -> Any:
    """The sample with the dims of all its tensors in another order in memory."""

    def one(value: Any) -> Any:
        torch = carrying.torch
        if isinstance(value, torch.Tensor) and value.ndim > 1 and value.layout == torch.strided:
            dims = order(value.ndim)
            if dims == list(range(value.ndim)):
                return value
            return (
                value.detach().permute(dims).contiguous().permute([dims.index(d) for d in range(value.ndim)])
            )
        if isinstance(value, (tuple, list)) and not isinstance(value, torch.Size):
            return type(value)(one(item) for item in value)
        return {key: one(item) for key, item in value.items()} if isinstance(value, dict) else value

    sample.input, sample.args, sample.kwargs = one(sample.input), one(sample.args), one(sample.kwargs)
    return sample
