"""Tensors from nothing, in PyTorch's spellings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.core.device import resolve
from devtensor.core.dtype import FLOAT, as_dtype, default_dtype, float64, int64
from devtensor.core.errors import ArgumentError
from devtensor.core.inplace import copy_into
from devtensor.core.tensor import Tensor
from devtensor.functions.shaping import sizes
from devtensor.interop import tensor
from devtensor.ops import create as ops
from devtensor.ops.compare import eq
from devtensor.ops.create import cast
from devtensor.ops.join import cat
from devtensor.ops.shape import as_shape

__all__ = [
    "arange",
    "empty",
    "empty_like",
    "empty_strided",
    "eye",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "range",
    "scalar_tensor",
    "tril_indices",
    "triu_indices",
    "zeros",
    "zeros_like",
]


def finish(made: Tensor, requires_grad: bool, out: Tensor | None = None) -> Tensor:
    """The tensor made, or `out` with it written in; with its gradient wanted if asked."""
    if out is not None:
        return copy_into(out, made)
    return made.requires_grad_() if requires_grad else made


def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of one number; without `dtype` that of the number decides."""
    if isinstance(fill_value, Tensor):
        dtype, fill_value = dtype or fill_value.dtype, fill_value.item()
    elif hasattr(fill_value, "item"):
        fill_value = fill_value.item()
    dtype = as_dtype(type(fill_value)) if dtype is None else as_dtype(dtype)
    return finish(ops.full(shape_of((size,)), fill_value, dtype, resolve(device)), requires_grad, out)


def shape_of(size: tuple) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence.

    Errors: ArgumentError for negative ones.
    """
    shape = sizes(size)
    if any(n < 0 for n in shape):
        raise ArgumentError(
            f"[create] Trying to create tensor with negative dimension: {shape}; give sizes of at least 0"
        )
    return shape


def _filled(name: str, value: int, doc: str) -> tuple[Callable, Callable]:
    """`zeros` and `zeros_like`, and their kin."""

    def filled(
        *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, out: Tensor | None =
        None, layout: Any = None, pin_memory: bool = False, memory_format: Any = None, names: Any = None,
        **named: Any,
    ) -> Tensor:  # fmt: skip
        shape = shape_of(size or (named.get("size", ()),))
        dtype = default_dtype() if dtype is None else as_dtype(dtype)
        return finish(ops.full(shape, value, dtype, resolve(device)), requires_grad, out)

    def like(
        input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any =
        None, memory_format: Any = None, pin_memory: bool = False,
    ) -> Tensor:  # fmt: skip
        return full_like(input, value, dtype=dtype, device=device, requires_grad=requires_grad)

    filled.__name__ = filled.__qualname__ = name
    filled.__doc__ = f"A tensor of {doc}."
    like.__name__ = like.__qualname__ = f"{name}_like"
    like.__doc__ = f"A tensor of {doc}, in the shape of `input`."
    return filled, like


zeros, zeros_like = _filled("zeros", 0, "zeros")
ones, ones_like = _filled("ones", 1, "ones")
empty, empty_like = _filled("empty", 0, "no particular numbers; here zeros")


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of one number in the shape of `input`."""
    dtype = input.dtype if dtype is None else dtype
    device = input.device if device is None else device
    return full(tuple(input.array.shape), fill_value, dtype=dtype, device=device, requires_grad=requires_grad)


def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of zeros whose dims lie in memory in the order that the strides tell."""
    shape = sizes((size,))
    order = sorted(builtin_range(len(shape)), key=lambda d: -stride[d])
    made = zeros([shape[d] for d in order], dtype=dtype, device=device)
    places = [order.index(d) for d in builtin_range(len(shape))]
    return finish(made.permute(*places), requires_grad)


builtin_range = range


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
    start, end, step = (_number(value) for value in (start, end, step))
    if not step or not all(math.isfinite(v) for v in (start, end, step)):
        raise ArgumentError(
            f"[arange] step must be nonzero and all finite; got start={start}, end={end}, step={step}"
        )
    if (end - start) * step < 0:
        raise ArgumentError(
            f"[arange] upper bound and lower bound inconsistent with step sign: {start}, {end}, {step}"
        )
    whole = all(isinstance(v, int) for v in (start, end, step))
    count = -((start - end) // step) if whole else math.ceil((end - start) / step)
    kind = as_dtype(dtype) if dtype is not None else int64 if whole else default_dtype()
    return finish(ops.arange(start, step, count, kind, resolve(device)), requires_grad, out)


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def range(start: Any, end: Any = None, step: Any = 1, **facts: Any) -> Tensor:
    """Numbers from `start` to `end`, both included, `step` apart."""
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
) -> Tensor:
    """`steps` numbers evenly spaced from `start` to `end`, both exact."""
    return finish(_spaced("linspace", start, end, steps, dtype, device), requires_grad, out)


def _spaced(op: str, start: Any, end: Any, steps: int, dtype: Any, device: Any) -> Tensor:
    if steps < 0:
        raise ArgumentError(f"[{op}] number of steps must be non-negative, got {steps}")
    start, end = _number(start), _number(end)
    kind, place = default_dtype() if dtype is None else as_dtype(dtype), resolve(device)
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
) -> Tensor:
    """`base` to the powers that `linspace` gives."""
    powers = _spaced("logspace", start, end, steps, float64, device)
    kind = default_dtype() if dtype is None else as_dtype(dtype)
    return finish(cast(base**powers, kind), requires_grad, out)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
    layout: Any = None,
) -> Tensor:
    """The unit matrix: ones on the diagonal, else zeros.

    Shapes: -> (n, m), or (n, n)
    """
    place = resolve(device)
    rows, columns = (ops.arange(0, 1, size, int64, place) for size in (n, n if m is None else m))
    kind = default_dtype() if dtype is None else as_dtype(dtype)
    return finish(cast(eq(as_shape(rows, (n, 1)), columns), kind), requires_grad, out)


def scalar_tensor(
    value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A number as a 0-d tensor of the default dtype."""
    return full((), value, dtype=dtype or default_dtype(), device=device, requires_grad=requires_grad)


def _triangle(name: str, keep: Callable[[int, int], bool]) -> Callable:
    def triangle(row: int, col: int, offset: int = 0, *, dtype: Any = int64, device: Any = None) -> Tensor:
        pairs = [(i, j) for i in builtin_range(row) for j in builtin_range(col) if keep(j - i, offset)]
        lines = [[i for i, _ in pairs], [j for _, j in pairs]]
        return tensor(lines, dtype=dtype, device=device)

    triangle.__name__ = triangle.__qualname__ = name
    side = "lower" if name == "tril_indices" else "upper"
    triangle.__doc__ = f"Rows and columns of a matrix's {side} triangle.\n\nShapes: -> (2, K)"
    return triangle


tril_indices = _triangle("tril_indices", lambda apart, offset: apart <= offset)
triu_indices = _triangle("triu_indices", lambda apart, offset: apart >= offset)
