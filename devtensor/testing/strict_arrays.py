"""NumPy behind a wall: arrays of a class of their own, which refuse to mix with NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from devtensor.backend.protocol import DTYPES

FUNCTION_NAMES = """
absolute add all amax amin any arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin
argsort asarray ascontiguousarray bitwise_and bitwise_or bitwise_xor broadcast_to ceil concatenate
conjugate copysign cos cosh cumprod cumsum empty equal exp exp2 expm1 eye flip floor floor_divide fmod
frexp gcd greater greater_equal hypot invert isfinite isinf isnan left_shift less less_equal log log10
log1p log2 logical_and logical_not logical_or logical_xor matmul maximum may_share_memory minimum
multiply negative nextafter nonzero not_equal power prod reciprocal remainder right_shift rint roll
searchsorted sign sin sinh sqrt square stack subtract sum take tan tanh tril triu true_divide trunc
unique where zeros
"""
"""What the namespace has of NumPy."""

GROUP_NAMES = {
    "linalg": "cholesky eig eigh qr solve svd",
    "fft": "fftn ifftn irfftn rfftn",
}
"""What its parts have of NumPy's."""

OPERATOR_NAMES = """
add sub mul truediv pow and or xor rshift eq ne lt le gt ge radd rsub rmul rtruediv rpow mod iadd isub
imul itruediv
"""
"""The operators of its arrays, beside negation."""


METHOD_NAMES = frozenset(
    {"all", "astype", "copy", "fill", "max", "min", "reshape", "sum", "swapaxes", "transpose", "view"}
)
"""Its arrays' methods."""


class StrictArray:
    """An array of the strict backend; only its namespace and its own methods can work on it."""

    __slots__ = ("__weakref__", "held")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, held: np.ndarray) -> None:
        self.held = held

    def __array__(self, *arguments: Any, **named: Any) -> np.ndarray:
        raise TypeError("a strict array was handed to NumPy: something copied to the host in silence")

    def __iter__(self) -> Any:
        raise TypeError("a strict array was iterated over: something reads it element by element")

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "ndim", "size", "itemsize", "strides", "dtype", "flags"):
            return getattr(self.held, name)
        if name in ("real", "imag"):
            return wrapped(getattr(self.held, name))
        if name in METHOD_NAMES:
            return guarded(getattr(self.held, name))
        raise AttributeError(f"strict arrays have no {name!r}")

    def __getitem__(self, index: Any) -> Any:
        return wrapped(self.held[unwrapped(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self.held[unwrapped(index)] = unwrapped(value)

    def __neg__(self) -> StrictArray:
        return wrapped(-self.held)

    def __invert__(self) -> StrictArray:
        return wrapped(~self.held)

    def __bool__(self) -> bool:
        return bool(self.held)

    def __int__(self) -> int:
        return int(self.held)

    def __repr__(self) -> str:
        return f"StrictArray({self.held!r})"


def operator_method(name: str) -> Callable[[StrictArray, Any], Any]:
    """NumPy's operator between strict arrays, or a strict array and a number."""

    def method(self: StrictArray, other: Any) -> Any:
        result = getattr(self.held, name)(unwrapped(other))
        return self if result is self.held else wrapped(result)

    return method


for operator in OPERATOR_NAMES.split():
    setattr(StrictArray, f"__{operator}__", operator_method(f"__{operator}__"))


def unwrapped(value: Any) -> Any:
    """What NumPy gets for an argument; NumPy's own arrays are refused."""
    if isinstance(value, StrictArray):
        return value.held
    if isinstance(value, np.ndarray):
        raise TypeError("a NumPy array was mixed with strict arrays")
    if isinstance(value, (tuple, list)):
        return type(value)(map(unwrapped, value))
    return value


def wrapped(value: Any) -> Any:
    """What the caller gets for NumPy's result."""
    if isinstance(value, np.ndarray | np.generic):
        return StrictArray(np.asarray(value))
    if isinstance(value, tuple):
        return tuple(map(wrapped, value))
    return value


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function for strict arrays."""

    def guard(*arguments: Any, **named: Any) -> Any:
        result = function(*unwrapped(arguments), **{key: unwrapped(value) for key, value in named.items()})
        return wrapped(result)

    return guard


def make_namespace() -> SimpleNamespace:
    """The namespace `xp` of strict arrays."""
    space = SimpleNamespace(**{name: guarded(getattr(np, name)) for name in FUNCTION_NAMES.split()})
    space.add.at = guarded(np.add.at)
    for group, names in GROUP_NAMES.items():
        functions = {name: guarded(getattr(getattr(np, group), name)) for name in names.split()}
        setattr(space, group, SimpleNamespace(**functions))
    tricks = SimpleNamespace(as_strided=guarded(np.lib.stride_tricks.as_strided))
    space.lib = SimpleNamespace(stride_tricks=tricks)
    for name in ("uint64", "dtype", "bool_", *DTYPES):
        if hasattr(np, name):
            setattr(space, name, getattr(np, name))
    return space


xp = make_namespace()
