"""Tensors from nothing, in PyTorch's spellings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.device import resolve, wrapped
from devtensor.core.dtype import as_dtype, default_dtype, int32, int64
from devtensor.core.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from devtensor.core.holding import HALVES, held
from devtensor.core.naming import named
from devtensor.core.rules import literal_operand
from devtensor.core.spec import contiguous_strides
from devtensor.core.tensor import Tensor
from devtensor.functions.formats import like
from devtensor.functions.out import into
from devtensor.functions.shaping import sizes
from devtensor.interop import tensor
from devtensor.interop.pinning import pin_memory as pinned
from devtensor.ops import create as ops
from devtensor.ops.compare import eq
from devtensor.ops.create import cast
from devtensor.ops.shape import as_shape

__all__ = [
    "empty",
    "empty_like",
    "empty_permuted",
    "empty_strided",
    "eye",
    "full",
    "full_like",
    "ones",
    "ones_like",
    "scalar_tensor",
    "tril_indices",
    "triu_indices",
    "zeros",
    "zeros_like",
]


def finish(made: Tensor, requires_grad: bool, out: Tensor | None = None, pin_memory: bool = False) -> Tensor:
    """The tensor made, or `out` with it written in; pinned and with its gradient wanted if asked.

    Errors: ArgumentTypeError unless that is a bool.
    """
    if requires_grad.__class__ is not bool:
        raise ArgumentTypeError(
            f"[requires_grad] argument 'requires_grad' must be a bool, not {type(requires_grad).__name__}"
        )
    if out is not None:
        return into(out, made)
    if pin_memory:
        made = pinned(made)
    return made.requires_grad_() if requires_grad else made


def agreed(op: str, dtype: Any, out: Tensor | None) -> Any:
    """The dtype that was named, or that of `out` where none was.

    Errors: DTypeError if both are there and differ.
    """
    if out is None or (dtype is not None and as_dtype(dtype) is out.dtype):
        return dtype
    if dtype is not None:
        raise DTypeError(
            f"[{op}] dtype {as_dtype(dtype).name} does not match dtype of out parameter ({out.dtype.name}); "
            "leave one of the two out"
        )
    return out.dtype


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
    """A tensor of one number; without `dtype` that of the number decides.

    Errors: ArgumentTypeError for a value that is no number.
    """
    dtype = agreed("full", dtype, out)
    if isinstance(fill_value, Tensor):
        dtype, fill_value = dtype or fill_value.dtype, fill_value.item()
    elif hasattr(fill_value, "item"):
        fill_value = fill_value.item()
    if not isinstance(fill_value, (bool, int, float, complex)):
        raise ArgumentTypeError(
            f"[full] fill_value is {fill_value!r} of type {type(fill_value).__name__}; it needs a number"
        )
    dtype = literal_operand(type(fill_value)).dtype if dtype is None else as_dtype(dtype)
    if isinstance(fill_value, int) and not isinstance(fill_value, bool):
        wrapped(fill_value, dtype)
    fill_value = held("full", fill_value, dtype)
    return finish(
        ops.full(shape_of((size,)), fill_value, dtype, resolve(device)), requires_grad, out, pin_memory
    )


def shape_of(size: tuple) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence.

    Errors: ArgumentError for negative ones.
    """
    shape = sizes(size)
    if shape and min(shape) < 0:
        raise ArgumentError(
            f"[create] Trying to create tensor with negative dimension: {shape}; give sizes of at least 0"
        )
    return shape


def _filled(name: str, value: int, doc: str) -> tuple[Callable, Callable]:
    """`zeros` and `zeros_like`, and their kin."""

    def filled(
        *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, out: Tensor | None =
        None, layout: Any = None, pin_memory: bool = False, memory_format: Any = None, names: Any = None,
        **other: Any,
    ) -> Tensor:  # fmt: skip
        if not size and "size" not in other:
            raise ArgumentTypeError(f"[{name}] missing 1 required argument: 'size'; for no dims write ()")
        shape = shape_of(size or (other.pop("size"),))
        if other:
            raise ArgumentTypeError(f"[{name}] {name}() got an unexpected keyword argument {min(other)!r}")
        dtype = agreed(name, dtype, out)
        dtype = default_dtype() if dtype is None else as_dtype(dtype)
        return finish(ops.full(shape, value, dtype, resolve(device)), requires_grad, out, pin_memory)

    def similar(
        input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any =
        None, memory_format: Any = None, pin_memory: bool = False,
    ) -> Tensor:  # fmt: skip
        kind = input.kind
        made = ops.full(
            tuple(input.array.shape),
            value,
            kind.dtype if dtype is None else as_dtype(dtype),
            kind.device if device is None else resolve(device),
        )
        return finish(like(made, input, memory_format), requires_grad, pin_memory=pin_memory)

    return named(filled, name, f"A tensor of {doc}."), named(
        similar, f"{name}_like", f"A tensor of {doc}, in the shape of `input`."
    )


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
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of one number in the shape of `input`."""
    dtype = input.dtype if dtype is None else dtype
    device = input.kind.device if device is None else device
    dtype = as_dtype(dtype)
    if dtype.name in HALVES and isinstance(fill_value, (int, float)):
        made = ops.full(tuple(input.array.shape), fill_value, dtype, resolve(device))
    else:
        made = full(tuple(input.array.shape), fill_value, dtype=dtype, device=device)
    return finish(like(made, input, memory_format), requires_grad, pin_memory=pin_memory)


def empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of zeros with the strides given, in elements.

    Errors: ShapeError unless there is a stride for each size.
    """
    shape, strides = shape_of((size,)), sizes((stride,))
    if len(shape) != len(strides):
        raise ShapeError(f"[empty_strided] mismatched lengths of size {shape} and stride {strides}")
    return finish(
        ops.lay_out(zeros(shape, dtype=dtype, device=device), strides), requires_grad, pin_memory=pin_memory
    )


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """The unit matrix: ones on the diagonal, else zeros.

    Shapes: -> (n, m), or (n, n)
    """
    if n < 0 or (m is not None and m < 0):
        raise ArgumentError(f"[eye] n must be greater or equal to 0, and m; got n={n}, m={m}")
    place = resolve(device)
    rows, columns = (ops.arange(0, 1, size, int64, place) for size in (n, n if m is None else m))
    dtype = agreed("eye", dtype, out)
    kind = default_dtype() if dtype is None else as_dtype(dtype)
    return finish(cast(eq(as_shape(rows, (n, 1)), columns), kind), requires_grad, out, pin_memory)


def empty_permuted(size: Any, physical_layout: Any, **facts: Any) -> Tensor:
    """A tensor of zeros whose dims lie in memory in the order `physical_layout`, outermost first.

    Errors: ShapeError unless the layout names every dim once.
    """
    order, shape = tuple(physical_layout), shape_of((size,))
    if sorted(order) != list(range(len(shape))):
        raise ShapeError(
            f"[empty_permuted] physical_layout {order} must name each of the {len(shape)} dims once; "
            "the number of dimensions in size must match it, and no dim may appear twice"
        )
    packed = contiguous_strides([shape[d] for d in order])
    strides = [0] * len(shape)
    for place, dim in enumerate(order):
        strides[dim] = packed[place]
    return empty_strided(shape, strides, **facts)


def scalar_tensor(
    value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A number as a 0-d tensor of the default dtype."""
    return full((), value, dtype=dtype or default_dtype(), device=device, requires_grad=requires_grad)


def _triangle(name: str, keep: Callable[[int, int], bool]) -> Callable:
    def triangle(
        row: int, col: int, offset: int = 0, *, dtype: Any = int64, device: Any = None, layout: Any = None
    ) -> Tensor:
        if row < 0 or col < 0 or as_dtype(dtype) not in (int32, int64):
            raise ArgumentError(
                f"[{name}] row must be non-negative, and col; dtype int32 or int64; got {row}, {col}, {dtype}"
            )
        pairs = [(i, j) for i in range(row) for j in range(col) if keep(j - i, offset)]
        lines = [[i for i, _ in pairs], [j for _, j in pairs]]
        return tensor(lines, dtype=dtype, device=device)

    side = "lower" if name == "tril_indices" else "upper"
    return named(triangle, name, f"Rows and columns of a matrix's {side} triangle.\n\nShapes: -> (2, K)")


tril_indices = _triangle("tril_indices", lambda apart, offset: apart <= offset)
triu_indices = _triangle("triu_indices", lambda apart, offset: apart >= offset)
