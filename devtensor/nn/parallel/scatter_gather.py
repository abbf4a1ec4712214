"""Batches split over devices, and results brought together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor
from devtensor.nn.parallel import comm

__all__ = ["gather", "scatter", "scatter_kwargs"]


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> Any:
    """Parts of all tensors in tuples, lists and dicts along `dim`, one structure for each device.

    A tensor with fewer rows than there are devices gives as many parts as it has rows; what is no tensor is
    given to all. Gradients flow back.
    """
    if isinstance(inputs, Tensor):
        return comm.scatter(inputs, target_gpus, None, dim)
    split = [scatter(each, target_gpus, dim) for each in members(inputs)]
    if not split:
        return [inputs for _ in target_gpus]
    return [rebuilt(inputs, parts) for parts in zip(*split, strict=False)]


def scatter_kwargs(
    inputs: tuple, kwargs: dict[str, Any] | None, target_gpus: Sequence[Any], dim: int = 0
) -> tuple[tuple, tuple]:
    """What each device's call gets, by position and by name."""
    placed = list(scatter(inputs, target_gpus, dim)) if inputs else []
    named = list(scatter(kwargs, target_gpus, dim)) if kwargs else []
    placed += [()] * (len(named) - len(placed))
    named += [{}] * (len(placed) - len(named))
    return tuple(placed), tuple(named)


def gather(outputs: Sequence[Any], target_device: Any, dim: int = 0) -> Any:
    """The results of several devices as one: tensors joined along `dim` on `target_device`, within tuples,
    lists and dicts too; numbers in tensors without dims become a vector.

    Errors: ArgumentError for dicts that differ in their keys.
    """
    first = outputs[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return joined(outputs, target_device, dim)
    if isinstance(first, dict) and any(each.keys() != first.keys() for each in outputs):
        raise ArgumentError("[gather] All dicts must have the same number of keys, and the same keys")
    return rebuilt(
        first, [gather(parts, target_device, dim) for parts in zip(*map(members, outputs), strict=True)]
    )


def joined(tensors: Sequence[Tensor], target: Any, dim: int) -> Tensor:
    if dim == 0 and all(each.dim() == 0 for each in tensors):
        warnings.warn(
            "[gather] Was asked to gather along dimension 0, but all input tensors were scalars; "
            "will instead unsqueeze and return a vector.",
            stacklevel=4,
        )
        tensors = [each.reshape(1) for each in tensors]
    return comm.gather(tensors, dim, "cpu" if target == -1 else target)


def members(value: Any) -> list[Any]:
    """What a tuple, a list or a dict holds; nothing for anything else."""
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, tuple | list) else []


def rebuilt(like: Any, parts: Sequence[Any]) -> Any:
    """A structure as `like`, with other members."""
    if isinstance(like, dict):
        make: Callable = type(like)
        return make(zip(like, parts, strict=True))
    if hasattr(like, "_fields"):
        return type(like)(*parts)
    return type(like)(parts)
