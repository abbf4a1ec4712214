"""Second names of ops, as PyTorch has them, and in-place forms that overwrite the input with the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.inplace import copy_into
from devtensor.core.naming import named
from devtensor.core.tensor import Tensor
from devtensor.ops import compare, elementwise, parts
from devtensor.ops import functions as real

__all__ = [
    "absolute",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "fix",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "multiply",
    "negative",
    "not_equal",
    "positive",
]

absolute, negative, multiply, fix = (
    parts.abs, elementwise.neg, elementwise.mul, elementwise.trunc,
)  # fmt: skip
arccos, arcsin, arctan, arctan2 = real.acos, real.asin, real.atan, elementwise.atan2
arccosh, arcsinh, arctanh = real.acosh, real.asinh, real.atanh
greater, greater_equal, less, less_equal, not_equal = (
    compare.gt,
    compare.ge,
    compare.lt,
    compare.le,
    compare.ne,
)


def positive(input: Tensor) -> Tensor:
    """`input` itself: what `+input` gives."""
    return input


def _overwriting(function: Callable) -> Callable:
    def inplace(self: Tensor, *args: Any) -> Tensor:
        return copy_into(self, function(self, *args))

    doc = f"Overwrite the tensor with what `{function.__name__}` answers."
    return named(inplace, f"{function.__name__}_", doc)


ANSWERS = (
    compare.eq, compare.ne, compare.lt, compare.le, compare.gt, compare.ge,
    compare.logical_and, compare.logical_or, compare.logical_xor, compare.logical_not,
)  # fmt: skip
SECOND_NAMES: dict[str, Callable] = {
    "absolute": absolute, "negative": negative, "multiply": multiply, "fix": fix,
    "arccos": arccos, "arcsin": arcsin, "arctan": arctan, "arctan2": arctan2,
    "arccosh": arccosh, "arcsinh": arcsinh, "arctanh": arctanh,
    "greater": greater, "greater_equal": greater_equal, "less": less, "less_equal": less_equal,
    "not_equal": not_equal, "positive": positive, "__pos__": positive,
}  # fmt: skip
# Second names of in-place forms, which are there once the ops' own are.
INPLACE_NAMES = {
    f"{name}_": f"{entry.op.name}_" for name, entry in SECOND_NAMES.items() if hasattr(entry, "op")
}  # fmt: skip
METHODS = SECOND_NAMES | {f"{f.__name__}_": _overwriting(f) for f in ANSWERS}
