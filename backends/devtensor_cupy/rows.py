"""Softmax, layer norm, their gradients, and rows added at indices, by kernels of our own: one launch each.

They serve floating dtypes on devices whose sources compile; elsewhere the ops' bodies do.
"""

from __future__ import annotations

import math
from typing import Any

import cupy

from devtensor.backend.protocol import Kernel
from devtensor_cupy.compile.prelude import C_TYPES
from devtensor_cupy.compile.rows import LONGEST_WARP_ROW
from devtensor_cupy.launching import launcher

FIRST_NEEDED = {
    "softmax": "warp_softmax",
    "safe_softmax": "warp_softmax",
    "log_softmax": "warp_softmax",
    "softmax_gradient": "warp_softmax",
    "layer_norm": "warp_softmax",
    "layer_norm_gradient": "warp_softmax",
    "embedding_grad": "add_rows",
}
"""The ops, and a kernel whose source tells whether theirs compile."""
NAMES = frozenset(FIRST_NEEDED)
WANTED_THREADS = 1 << 17
"""As many as sums over rows are divided among, where there are so many numbers."""


def ready(name: str, dtype: str) -> bool:
    """Whether an op's kernel can be launched over a dtype on the current device."""
    return dtype in C_TYPES and launcher.kernels(f"{FIRST_NEEDED[name]}_{dtype}") is not None


def launch(name: str, work: int, dtype: Any, *values: Any) -> None:
    """Run a kernel on arrays, of which it gets the addresses, and numbers."""
    if not work:
        return
    entry = f"{name}_{dtype.name}"
    launcher.kernels(entry)
    given = [value.data.ptr if isinstance(value, cupy.ndarray) else value for value in values]
    launcher.launch(entry, work, given)


def by_length(columns: int) -> str:
    """Which kernels take rows of this length: a warp's or a block's."""
    return "warp" if columns <= LONGEST_WARP_ROW else "block"


def in_rows(array: Any) -> Any:
    """The array as the kernels read it; CuPy would give an array without dims one."""
    return cupy.ascontiguousarray(array) if array is not None and array.ndim else array


def extents(shape: tuple[int, ...], dim: int) -> tuple[int, int, int]:
    """Rows along a dim, their length, and how far apart the numbers of one lie; 0-d is one row of one."""
    columns, inner = shape[dim] if shape else 1, math.prod(shape[dim + 1 :])
    return math.prod(shape[:dim]) * inner, columns, inner


def softmax_of(form: str) -> Kernel:
    """The kernel of a softmax: its shares, or their logarithms."""

    def kernel(x: Any, dim: int) -> Any:
        x = in_rows(x)
        result = cupy.empty(x.shape, x.dtype)
        rows, columns, inner = extents(x.shape, dim)
        if not x.size:
            return result
        if inner == 1:
            launch(f"{by_length(columns)}_{form}", rows, x.dtype, x, result, rows, columns, 0, 1.0)
        else:
            launch(f"along_{form}", rows, x.dtype, x, result, rows, columns, inner)
        return result

    return kernel


def softmax_gradient(g: Any, output: Any, dim: int) -> Any:
    """The gradient of a softmax's input from its output and that one's gradient."""
    g, output = in_rows(g), in_rows(output)
    result = cupy.empty(output.shape, output.dtype)
    rows, columns, inner = extents(output.shape, dim)
    if not output.size:
        return result
    if inner == 1:
        name = f"{by_length(columns)}_softmax_backward"
        launch(name, rows, output.dtype, output, g, result, rows, columns, 1.0)
    else:
        launch("along_softmax_backward", rows, output.dtype, output, g, result, rows, columns, inner)
    return result


def layer_norm(x: Any, weight: Any, bias: Any, count: int, eps: float) -> Any:
    """Weights in another dtype are computed with in the wider one, and the result is rounded."""
    common = common_dtype(x, weight, bias)
    if common != x.dtype:
        weight, bias = (part if part is None else part.astype(common, copy=False) for part in (weight, bias))
        return layer_norm(x.astype(common, copy=False), weight, bias, count, eps).astype(x.dtype)
    x, weight, bias = in_rows(x), in_rows(weight), in_rows(bias)
    result = cupy.empty(x.shape, x.dtype)
    rows, columns = table_of(x, count)
    if x.size:
        name = f"{by_length(columns)}_layer_norm"
        launch(name, rows, x.dtype, x, weight, bias, result, None, None, rows, columns, eps)
    return result


def common_dtype(x: Any, *others: Any) -> Any:
    """The dtype of all that are there, or one as wide as the widest in which they meet."""
    dtypes = {x.dtype, *(other.dtype for other in others if other is not None)}
    if len(dtypes) == 1:
        return x.dtype
    return cupy.dtype(cupy.float64 if cupy.dtype(cupy.float64) in dtypes else cupy.float32)


def table_of(x: Any, count: int) -> tuple[int, int]:
    """How many rows the last `count` dims make, and how long these are."""
    batch = x.ndim - count
    return math.prod(x.shape[:batch]), math.prod(x.shape[batch:])


def layer_norm_gradient(g: Any, x: Any, weight: Any, count: int, eps: float) -> tuple[Any, Any]:
    """The input's gradient, and what the weight's is: the sum of `g` times the standardised rows."""
    g, x, weight = in_rows(g), in_rows(x), in_rows(weight)
    rows, columns = table_of(x, count)
    result = cupy.empty(x.shape, x.dtype)
    if not x.size:
        return result, cupy.zeros(x.shape[x.ndim - count :], x.dtype)
    statistics = cupy.empty((2, rows), cupy.float64)
    means, scales = statistics[0], statistics[1]
    name = f"{by_length(columns)}_layer_norm_backward"
    launch(name, rows, x.dtype, g, x, weight, result, means, scales, rows, columns, eps)
    along = weight_gradient(g, x, means, scales, rows, columns)
    return result, along.reshape(x.shape[x.ndim - count :])


def weight_gradient(g: Any, x: Any, means: Any, scales: Any, rows: int, columns: int) -> Any:
    """Sums over parts of the rows, then over the parts: always in the same order."""
    parts = min(math.isqrt(rows - 1) + 1, -(-WANTED_THREADS // columns))
    chunk = -(-rows // parts)
    parts = -(-rows // chunk)
    wide = x.dtype if x.dtype == cupy.float64 else cupy.dtype(cupy.float32)
    sums = cupy.empty((parts, columns), wide)
    launch("layer_norm_weight_parts", sums.size, x.dtype, g, x, means, scales, sums, rows, columns, chunk)
    if parts == 1:
        return sums.astype(x.dtype, copy=False)
    result = cupy.empty(columns, x.dtype)
    launch("sum_of_parts", columns, x.dtype, sums, result, parts, columns)
    return result


def embedding_grad(g: Any, index: Any, size: int) -> Any:
    """Rows of `g` added up in float32 or wider by the row of the table that they came from."""
    g, index = in_rows(g), in_rows(index)
    width = g.shape[index.ndim :]
    wide = cupy.float64 if g.dtype.name == "float64" else cupy.float32
    sums = cupy.zeros((size, *width), wide)
    launch("add_rows", g.size, g.dtype, g, index, sums, index.size, math.prod(width), size, -1)
    return sums.astype(g.dtype, copy=False)


def add_at(target: Any, index: Any, values: Any) -> bool:
    """Add rows to those that one array of indices names, if that is all there is to be done."""
    places = index if isinstance(index, tuple) else (index,)
    if len(places) != 1 or not isinstance(places[0], cupy.ndarray) or places[0].dtype != cupy.int64:
        return False
    name, place = target.dtype.name, places[0]
    if name not in ("float32", "float64") or not (target.flags.c_contiguous and target.ndim and target.size):
        return False
    if getattr(values, "dtype", None) != target.dtype or values.shape != (*place.shape, *target.shape[1:]):
        return False
    if not ready("embedding_grad", name):
        return False
    size, columns, rows = target.shape[0], math.prod(target.shape[1:]), in_rows(values)
    # Negative places count from the end.
    wrapped = in_rows(place % size)
    launch("add_rows", rows.size, target.dtype, rows, wrapped, target, wrapped.size, columns, size, -1)
    return True


def kernels(generic: Kernel) -> dict[str, Kernel]:
    """Every kernel by its op's name; `generic` adds rows of other dtypes."""

    def add_rows(g: Any, index: Any, size: int) -> Any:
        return (embedding_grad if g.dtype.name in C_TYPES else generic)(g, index, size)

    forms = {form: softmax_of(form) for form in ("softmax", "safe_softmax", "log_softmax")}
    return forms | {
        "softmax_gradient": softmax_gradient,
        "layer_norm": layer_norm,
        "layer_norm_gradient": layer_norm_gradient,
        "embedding_grad": add_rows,
    }
