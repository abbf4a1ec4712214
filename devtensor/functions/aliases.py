"""Second names of ops, as PyTorch has them, and in-place forms that overwrite the input with the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import bool_
from devtensor.core.errors import DTypeError
from devtensor.core.history import check_leaf, rebase
from devtensor.core.inplace import copy_into
from devtensor.core.naming import named
from devtensor.core.state import current, no_grad
from devtensor.core.tensor import Tensor
from devtensor.ops import compare, elementwise, functions, hyperbolic, parts, plane
from devtensor.ops.compare import compared
from devtensor.ops.create import cast

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
arccos, arcsin, arctan, arctan2 = hyperbolic.acos, hyperbolic.asin, functions.atan, plane.atan2
arccosh, arcsinh, arctanh = hyperbolic.acosh, hyperbolic.asinh, hyperbolic.atanh
greater, greater_equal, less, less_equal, not_equal = (
    compare.gt,
    compare.ge,
    compare.lt,
    compare.le,
    compare.ne,
)


def positive(input: Tensor) -> Tensor:
    """`input` itself: what `+input` gives.

    Errors: DTypeError for truths.
    """
    if input.kind.dtype is bool_:
        raise DTypeError("[positive] The `+` operator, on a bool tensor is not supported; use it as it is")
    return input


def _overwriting(function: Callable) -> Callable:
    """The form with `_` of a question about truth. Autograd does not see it: gradients go through what was
    written over, as in PyTorch."""

    def inplace(self: Tensor, *args: Any) -> Tensor:
        with no_grad():
            return copy_into(self, function(self, *args))

    doc = f"Overwrite the tensor with what `{function.__name__}` answers."
    return named(inplace, f"{function.__name__}_", doc)


def _comparing(name: str) -> Callable:
    """The form with `_` of a comparison, which hands zeros to what it was asked of."""

    def inplace(self: Tensor, other: Any) -> Tensor:
        if current().grad:
            check_leaf(f"{name}_", self, (other,))
        answer = compared(self, other, name)
        with no_grad():
            copy_into(self, answer)
        if answer.requires_grad:
            _hand_on(self, answer)
        return self

    return named(inplace, f"{name}_", f"Overwrite the tensor with what `{name}` answers.")


def _hand_on(self: Tensor, answer: Tensor) -> None:
    """Give the tensor the answer's history; integers have it too, as in PyTorch, unless they are a view."""
    if self.dtype.differentiable:
        rebase(self, cast(answer, self.dtype))
    elif self.alias is None or self.alias.base is None:
        rebase(self, answer)


LOGICAL = compare.logical_and, compare.logical_or, compare.logical_xor, compare.logical_not
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
METHODS = (
    SECOND_NAMES
    | {f"{f.__name__}_": _overwriting(f) for f in LOGICAL}
    | {f"{name}_": _comparing(name) for name in compare.COMPARISONS}
)
