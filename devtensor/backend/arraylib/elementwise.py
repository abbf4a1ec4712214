"""Creation, casts and elementwise kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.backend.arraylib.library import Library
from devtensor.backend.protocol import Array, Kernel

UNARY = {
    "neg": "negative",
    "abs": "absolute",
    "square": "square",
    "isnan": "isnan",
    "isinf": "isinf",
    "isfinite": "isfinite",
    "bitwise_not": "invert",
    "logical_not": "logical_not",
    "exp": "exp",
    "exp2": "exp2",
    "expm1": "expm1",
    "log": "log",
    "log1p": "log1p",
    "log2": "log2",
    "log10": "log10",
    "sqrt": "sqrt",
    "reciprocal": "reciprocal",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "sinh": "sinh",
    "cosh": "cosh",
    "tanh": "tanh",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
}
BINARY = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "div": "true_divide",
    "atan2": "arctan2",
    "maximum": "maximum",
    "minimum": "minimum",
    "hypot": "hypot",
    "gcd": "gcd",
    "nextafter": "nextafter",
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "logical_and": "logical_and",
    "logical_or": "logical_or",
    "logical_xor": "logical_xor",
    "bitwise_and": "bitwise_and",
    "bitwise_or": "bitwise_or",
    "bitwise_xor": "bitwise_xor",
    "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift",
}
DIVISIONS = {"floor_divide": "floor_divide", "remainder": "remainder", "fmod": "fmod"}
ROUNDINGS = {"floor": "floor", "ceil": "ceil", "round": "rint", "trunc": "trunc"}
UFUNCS = UNARY | BINARY
"""Kernel name -> name of the one function of the library that is the kernel."""


def kernels(lib: Library) -> dict[str, Kernel]:
    """The elementwise part of the table."""
    table = {name: as_array(lib, getattr(lib.xp, theirs)) for name, theirs in UFUNCS.items()}
    table |= {name: integer_checked(lib, getattr(lib.xp, theirs)) for name, theirs in DIVISIONS.items()}
    table |= {name: integers_unchanged(lib, getattr(lib.xp, theirs)) for name, theirs in ROUNDINGS.items()}
    return table | lib.bind(FUNCTIONS)


def as_array(lib: Library, function: Callable[..., Any]) -> Kernel:
    """The function, with results that are arrays where the library gives scalars for 0-d inputs."""
    asarray = lib.xp.asarray

    def kernel(*arrays: Array) -> Array:
        return asarray(function(*arrays))

    return kernel


def integer_checked(lib: Library, function: Callable[..., Any]) -> Kernel:
    """Division that raises on an integer zero divisor where looking is free; elsewhere it gives 0."""
    asarray = lib.xp.asarray
    host = lib.host

    def kernel(x: Array, y: Array) -> Array:
        if host and x.size and y.dtype.kind in "biu" and not y.all():
            raise ZeroDivisionError("integer division by zero")
        return asarray(function(x, y))

    return kernel


def integers_unchanged(lib: Library, function: Callable[..., Any]) -> Kernel:
    """Rounding that copies integers, which some versions of the libraries would turn into floats."""
    asarray = lib.xp.asarray

    def kernel(x: Array) -> Array:
        return x.copy() if x.dtype.kind in "biu" else asarray(function(x))

    return kernel


def full(lib: Library, shape: tuple[int, ...], value: float, dtype: str) -> Array:
    result = lib.xp.empty(shape, lib.dtypes[dtype])
    result.fill(value)
    return result


def arange(lib: Library, start: float, step: float, count: int, dtype: str) -> Array:
    exact = isinstance(start, int) and isinstance(step, int)
    steps = lib.xp.arange(count, dtype=lib.dtypes["int64" if exact else "float64"])
    if not exact or (start, step) != (0, 1):
        steps *= step
        steps += start
    return steps.astype(lib.dtypes[dtype], copy=False)


TAKING_BOTH_PARTS = frozenset({"complex64", "complex128", "bool"})
"""What a complex number is converted to as a whole; everything else takes its real part."""


def cast(lib: Library, x: Array, dtype: str) -> Array:
    if x.dtype.kind == "c" and dtype not in TAKING_BOTH_PARTS:
        x = x.real
    return x.astype(lib.dtypes[dtype], order=layout(x))


def layout(x: Array) -> Any:
    """The order in which a converted copy is laid out: as it lies, but rows first where x is expanded.

    An expanded array has no order of its own, and libraries differ in what they make of it.
    """
    expanded = any(stride == 0 and size > 1 for stride, size in zip(x.strides, x.shape, strict=True))
    return "C" if expanded else "K"


def sign(lib: Library, x: Array) -> Array:
    """-1, 0 or 1 in x's dtype; 0 for NaN."""
    if x.dtype.kind == "b":
        return x.copy()
    above, below = lib.xp.asarray(x > 0), lib.xp.asarray(x < 0)
    return lib.xp.asarray(above.astype(x.dtype) - below.astype(x.dtype))


def conj(lib: Library, x: Array) -> Array:
    return lib.xp.asarray(lib.xp.conjugate(x)) if x.dtype.kind == "c" else x.astype(x.dtype, order=layout(x))


def copy(lib: Library, x: Array) -> Array:
    return x.copy()


def write(lib: Library, dst: Array, src: Array) -> Array:
    dst[...] = src
    return dst


def pow(lib: Library, x: Array, y: Array) -> Array:
    """x ** y; of integers to negative powers only those of 1 and -1 are not 0."""
    if x.dtype.kind == "i":
        unit = lib.xp.absolute(x) == 1
        x = lib.xp.where((y < 0) & ~unit, x.dtype.type(0), x)
        y = lib.xp.absolute(y)
    return lib.xp.asarray(lib.xp.power(x, y))


def rsqrt(lib: Library, x: Array) -> Array:
    return lib.xp.asarray(lib.xp.reciprocal(lib.xp.sqrt(x)))


def sigmoid(lib: Library, x: Array) -> Array:
    if x.dtype.kind == "c":
        # By the exponential that shrinks: a complex one that overflows is NaN in its imaginary part.
        below = x.real < 0
        shrunk = lib.xp.exp(lib.xp.where(below, x, -x))
        return lib.xp.asarray(lib.xp.where(below, shrunk, 1) / (shrunk + 1))
    return lib.xp.asarray(lib.xp.reciprocal(lib.xp.exp(-x) + 1))


def frexp(lib: Library, x: Array) -> tuple[Array, Array]:
    mantissa, exponent = lib.xp.frexp(x)
    return tuple(lib.xp.asarray(part).copy() for part in (mantissa, exponent))


def where(lib: Library, mask: Array, x: Array, y: Array) -> Array:
    return lib.xp.asarray(lib.xp.where(mask, x, y))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "full": full,
    "arange": arange,
    "cast": cast,
    "sign": sign,
    "conj": conj,
    "copy": copy,
    "write": write,
    "pow": pow,
    "rsqrt": rsqrt,
    "sigmoid": sigmoid,
    "frexp": frexp,
    "where": where,
}
