"""Numbers evenly spaced, in PyTorch's spellings."""

from __future__ import annotations

import math
import operator
from typing import Any

from devtensor.core.callers import warn
from devtensor.core.device import resolve
from devtensor.core.dtype import FLOAT, as_dtype, default_dtype, float64, int64
from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.holding import held
from devtensor.core.tensor import Tensor
from devtensor.functions.creation import agreed, finish
from devtensor.ops import create as ops
from devtensor.ops.create import cast
from devtensor.ops.join import cat

__all__ = [
    "arange",
    "linspace",
    "logspace",
    "range",
]


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Numbers from `start` to before `end`, `step` apart; with one limit, from 0.

    Errors: ArgumentError if the step is 0 or leads away from the end.
    """
    start, end = (0, start) if end is None else (start, end)
    plain = start.__class__ is int and end.__class__ is int and step.__class__ is int
    if plain and step * (end - start) > 0 and dtype is None and out is None:
        count = -((start - end) // step)
        return finish(ops.arange(start, step, count, int64, resolve(device)), requires_grad, None, pin_memory)
    start, end, step = (_number(value) for value in (start, end, step))
    whole = all(isinstance(v, int) for v in (start, end, step))
    dtype = agreed("arange", dtype, out)
    kind = as_dtype(dtype) if dtype is not None else int64 if whole else default_dtype()
    if kind is int64 and all(math.isfinite(v) for v in (start, end, step)):
        # As PyTorch: the limits and the step lose their fractions before anything is counted.
        start, end, step, whole = int(start), int(end), int(step), True
    if not step or not all(math.isfinite(v) for v in (start, end, step)):
        raise ArgumentError(
            f"[arange] step must be nonzero and all finite; got start={start}, end={end}, step={step}"
        )
    if (end - start) * step < 0:
        raise ArgumentError(
            f"[arange] upper bound and lower bound inconsistent with step sign: {start}, {end}, {step}"
        )
    count = -((start - end) // step) if whole else math.ceil((end - start) / step)
    if not kind.differentiable:
        start, step = int(start), int(step)
    return finish(ops.arange(start, step, count, kind, resolve(device)), requires_grad, out, pin_memory)


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def range(start: Any, end: Any = None, step: Any = 1, **facts: Any) -> Tensor:
    """Numbers from `start` to `end`, both included, `step` apart."""
    warn("[range] is deprecated, since it includes its end as Python's does not; use arange")
    start, end = (0, start) if end is None else (start, end)
    facts["dtype"] = facts.get("dtype") or default_dtype()
    return arange(start, start + (math.floor((end - start) / step) + 0.5) * step, step, **facts)


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """`steps` numbers evenly spaced from `start` to `end`, both exact."""
    dtype = agreed("linspace", dtype, out)
    return finish(_spaced("linspace", start, end, steps, dtype, device), requires_grad, out, pin_memory)


def _spaced(op: str, start: Any, end: Any, steps: int, dtype: Any, device: Any) -> Tensor:
    if not hasattr(steps, "__index__"):
        raise ArgumentTypeError(f"[{op}] steps is {type(steps).__name__}; it needs an int")
    steps = operator.index(steps)
    if steps < 0:
        raise ArgumentError(f"[{op}] number of steps must be non-negative, got {steps}")
    start, end = _number(start), _number(end)
    kind, place = default_dtype() if dtype is None else as_dtype(dtype), resolve(device)
    if not kind.differentiable:
        # As PyTorch: of integers the limits too lose their fractions before anything is counted.
        start, end = int(start), int(end)
    start, end = held(op, start, kind), held(op, end, kind)
    exact = float64 if kind.category != FLOAT or kind.bits == 64 else kind
    if "float64" not in place.backend.dtypes and exact is float64:
        exact = default_dtype()
    step = (end - start) / (steps - 1) if steps > 1 else 0.0
    # From both ends to the middle, so that both are exact and the spacing is even.
    half = (steps + 1) // 2
    front = ops.arange(start, step, half, exact, place)
    back = ops.arange(end - step * (steps - half - 1), step, steps - half, exact, place)
    made = cat(front, back, dim=0)
    return made if kind is exact else cast(made, kind)


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """`base` to the powers that `linspace` gives."""
    dtype = agreed("logspace", dtype, out)
    powers = _spaced("logspace", start, end, steps, float64, device)
    kind = default_dtype() if dtype is None else as_dtype(dtype)
    return finish(cast(base**powers, kind), requires_grad, out, pin_memory)
