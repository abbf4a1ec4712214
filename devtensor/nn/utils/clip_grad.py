"""Gradients kept within limits, on the device that they are on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import add
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
from devtensor.ops.parts import abs as _abs
from devtensor.ops.reduce import sum as _sum
from devtensor.ops.reduce import widened


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
    ShapeError for an empty tensor where the order has no norm of nothing.
    """
    given, order = _as_list(tensors), float(norm_type)
    if not given:
        return full((), 0, default_dtype(), resolve(None))
    total = _together([norm_of_all(group, order) for _, (group,) in grouped(given)], order)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise AutogradError(
            f"[clip_grad_norm_] The total norm of order {order} for gradients from `parameters` is "
            "non-finite, so it cannot be clipped; look for what overflowed, or pass error_if_nonfinite=False"
        )
    return total


@over_lists(lists="tensors")
def norm_of_all(tensors: Sequence[Any], order: float) -> Any:
    """The norm of all elements of tensors, of half types in float32; of order 0, how many are not all zeros.

    Shapes: tensors [(*S), ...] -> ()
    """
    found = [_abs(t) if t.is_complex() else widened(t) for t in tensors]
    if 0 < order < math.inf:
        return _root(reduce(add, [_power_sum(t, order) for t in found]), order)
    return _of_norms([vector_norm(t, order) for t in found], order)


@norm_of_all.examples
def _(tensor: Any, number: Any) -> Iterator[tuple]:
    shapes = ((3, 4), (), (5,))
    for order in (2.0, 1.0, 3.0, 0.5, 0.0, math.inf, -math.inf, -2.0):
        yield [tensor(*shape) for shape in shapes], order
    for order in (2.0, 1.0, 0.0):
        yield [tensor(*shape) for shape in (*shapes, (0,))], order


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


@over_lists(lists="gradients", writes="gradients")
def clamp_all(gradients: Sequence[Any], limit: float) -> None:
    """Keep gradients, in place, within [-limit, limit].

    Shapes: gradients [(*S), ...]
    """
    for g in gradients:
        g.clamp_(-limit, limit)


@clamp_all.examples
def _(tensor: Any, number: Any) -> Iterator[tuple]:
    for limit in (0.5, 0.0, 3.0, -0.25, math.inf):
        yield [tensor(3, 4), tensor(), tensor(0), tensor(5)], limit


def _together(norms: list[Any], order: float) -> Any:
    """The norm of tensors of several dtypes and devices, from those of each, where the first is."""
    if len(norms) == 1:
        return norms[0]
    device = norms[0].kind.device
    found = [norm.to(device) for norm in norms]
    return reduce(add, found) if order == 0 else _of_norms(found, order)


def _of_norms(norms: list[Any], order: float) -> Any:
    """The norm of norms, which of order 0 counts those that are not 0."""
    return vector_norm(stack(norms), order)


def _power_sum(tensor: Any, order: float) -> Any:
    return _sum(tensor * tensor if order == 2 else _abs(tensor) ** order)


def _root(total: Any, order: float) -> Any:
    return total.sqrt() if order == 2 else total ** (1.0 / order)


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
    total = get_total_norm(_gradients(given), norm_type, error_if_nonfinite)
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
    for _, (group,) in grouped(_gradients(parameters)):
        clamp_all(group, float(clip_value))
