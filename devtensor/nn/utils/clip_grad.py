"""Gradients kept within limits, on the device that they are on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import Any

from devtensor.core.callers import warn
from devtensor.core.device import resolve
from devtensor.core.dtype import default_dtype
from devtensor.core.errors import AutogradError
from devtensor.core.lists import grouped, over_lists
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.functions.joining import stack
from devtensor.linalg.measures import vector_norm
from devtensor.ops.create import full
from devtensor.ops.elementwise import maximum
from devtensor.ops.parts import abs as _abs
from devtensor.ops.reduce import amax, widened
from devtensor.ops.reduce import sum as _sum


def _as_list(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Any]:
    return [p.grad for p in _as_list(parameters) if p.grad is not None]


@no_grad()
def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors together, as of one vector; that of half types is taken and given in float32.

    Errors: AutogradError if `error_if_nonfinite` and it is infinite or NaN: this waits for the device.
    """
    given = _as_list(tensors)
    if not given:
        return full((), 0, default_dtype(), resolve(None))
    if norm_type == 2:
        total = _length_of(norm_of_all(group) for _, (group,) in grouped(given))
    else:
        found: list[Any] = [widened(t) for t in given]
        total = _norm_by_powers(found, norm_type) if norm_type > 0 else _norm_of_norms(found, norm_type)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise AutogradError(
            f"[clip_grad_norm_] The total norm of order {norm_type} for gradients from `parameters` is "
            "non-finite, so it cannot be clipped; look for what overflowed, or pass error_if_nonfinite=False"
        )
    return total


@over_lists(lists="tensors")
def norm_of_all(tensors: Sequence[Any]) -> Any:
    """The Euclidean norm of all elements of tensors, of half types in float32.

    Shapes: tensors [(*S), ...] -> ()
    """
    return reduce(_add, [_power_sum(widened(t), 2) for t in tensors]).sqrt()


@norm_of_all.examples
def _(tensor: Any, number: Any) -> Iterator[tuple]:
    yield ([tensor(3, 4), tensor(), tensor(0), tensor(5)],)


@over_lists(lists="gradients", numbers="norm", writes="gradients")
def clip_all(gradients: Sequence[Any], norm: Any, largest: float) -> None:
    """Multiply gradients in place by largest / (norm + 1e-6), if that is below 1.

    Shapes: gradients [(*S), ...], norm ()
    """
    factor = (largest / (norm + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.mul_(factor)


@clip_all.examples
def _(tensor: Any, number: Any) -> Iterator[tuple]:
    for norm, largest in ((4.0, 1.0), (0.5, 1.0), (math.nan, 1.0)):
        yield [tensor(3, 4), tensor(), tensor(0), tensor(5)], number(norm), largest


def _length_of(norms: Iterable[Any]) -> Any:
    """The norm of parts whose norms are given, of several dtypes and devices in the first's."""
    first, *others = norms
    if not others:
        return first
    return reduce(_add, [n * n for n in (first, *(n.to(first.device) for n in others))]).sqrt()


def _norm_by_powers(tensors: list[Any], norm_type: float) -> Any:
    """The norm of all elements, by powers that are summed up."""
    device = tensors[0].kind.device
    parts = [_power_sum(t, norm_type).to(device) for t in tensors]
    if norm_type == math.inf:
        return reduce(maximum, parts)
    total: Any = reduce(_add, parts)
    return total ** (1.0 / norm_type)


def _norm_of_norms(tensors: list[Any], norm_type: float) -> Any:
    """The norm of the tensors' norms, which for order 0 is not that of all elements: PyTorch's choice."""
    device = tensors[0].kind.device
    return vector_norm(stack([vector_norm(t, norm_type).to(device) for t in tensors]), norm_type)


def _power_sum(tensor: Any, norm_type: float) -> Any:
    if norm_type == math.inf:
        return amax(_abs(tensor)) if tensor.shape.numel() else _sum(tensor)
    return _sum(tensor * tensor if norm_type == 2 else _abs(tensor) ** norm_type)


def _add(left: Any, right: Any) -> Any:
    return left + right


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale all gradients so that their norm, which is `total_norm`, becomes at most `max_norm`."""
    for _, (group,) in grouped(_gradients(parameters)):
        clip_all(group, total_norm.to(group[0].device), max_norm)  # type: ignore[attr-defined]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients so that their norm together is at most `max_norm`; gives the norm before.

    Nothing waits for the device unless `error_if_nonfinite` asks for it.

    Source: Pascanu, Mikolov and Bengio 2013; the factor is max_norm / (norm + 1e-6), at most 1, as in
    PyTorch.
    """
    given = _as_list(parameters)
    total = get_total_norm(_gradients(given), float(norm_type), error_if_nonfinite)
    clip_grads_with_norm_(given, float(max_norm), total)
    return total


def clip_grad_norm(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Old name of `clip_grad_norm_`."""
    warn("`nn.utils.clip_grad_norm` is deprecated; write `nn.utils.clip_grad_norm_`", FutureWarning)
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


@no_grad()
def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Keep every element of all gradients within [-clip_value, clip_value]."""
    limit = float(clip_value)
    for g in _gradients(parameters):
        g.clamp_(-limit, limit)
