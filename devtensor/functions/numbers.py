"""What Python asks of a tensor: its numbers on the host, its length, its items."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from numbers import Number
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError, AutogradError, DTypeError, ShapeError
from devtensor.core.host import host_read, read_nested, read_one
from devtensor.core.inplace import copy_into
from devtensor.core.tensor import Tensor, describe
from devtensor.interop.making import from_numbers
from devtensor.ops.compare import eq
from devtensor.ops.reduce import any as any_of
from devtensor.ops.shape import flip


def item(self: Tensor) -> Any:
    """The Python number that a tensor of one element holds.

    Errors: ShapeError if there are more, or none.
    """
    return _only(self, "item", ShapeError, "cannot be converted to Scalar")


def _only(self: Tensor, asked: str, error: type[Exception], refusal: str) -> Any:
    count = prod(self.array.shape)
    if count != 1:
        raise error(f"[{asked}] a Tensor with {count} elements {refusal}; it needs exactly one")
    return read_one(self, asked)


def tolist(self: Tensor) -> Any:
    """The numbers as nested lists, or one number."""
    return read_nested(self, "tolist")


def truth(self: Tensor) -> bool:
    """What `if tensor:` asks: whether its one element is non-zero."""
    if prod(self.array.shape) != 1:
        raise ShapeError(
            f"[bool] Boolean value of Tensor with {self.shape.numel()} values is ambiguous; use .any() or "
            ".all()"
        )
    return read_one(self, "bool") != 0


def _number(self: Tensor, kind: type) -> Any:
    """The one element as a Python number of `kind`."""
    found = _only(self, kind.__name__, ArgumentError, "cannot be converted to a Python scalar")
    if kind is not complex and isinstance(found, complex):
        if found.imag:
            raise DTypeError(
                f"[{kind.__name__}] value {found} cannot be converted to type {kind.__name__} without "
                "overflow; take .real first"
            )
        found = found.real
    return kind(found)


def as_int(self: Tensor) -> int:
    """What `int(tensor)` gives."""
    return _number(self, int)


def as_float(self: Tensor) -> float:
    """What `float(tensor)` gives."""
    return _number(self, float)


def as_complex(self: Tensor) -> complex:
    """What `complex(tensor)` gives."""
    return _number(self, complex)


def as_index(self: Tensor) -> int:
    """What Python asks of a tensor that stands where an int must be."""
    if self.kind.dtype.differentiable or self.shape.numel() != 1:
        raise ArgumentTypeError(
            "[index] only integer tensors of a single element can be converted to an index"
        )
    return int(item(self))


def length(self: Tensor) -> int:
    """The size of the first dim."""
    if not self.array.ndim:
        raise ArgumentTypeError("[len] len() of a 0-d tensor")
    return self.array.shape[0]


def contains(self: Tensor, value: Any) -> bool:
    """Whether any element equals `value`."""
    if not isinstance(value, (Tensor, Number)):
        raise ShapeError(
            f"[in] Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(value)}"
        )
    return truth(any_of(eq(self, value)))


def reversed_(self: Tensor) -> Tensor:
    """The tensor with its first dim turned round."""
    return flip(self, (0,)) if self.array.ndim else self


def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace each element by what a Python function makes of it; on the CPU, slow, without gradients.

    Errors: ArgumentTypeError elsewhere than on the CPU, AutogradError if the tensor requires grad.
    """
    return _replace(self, map(callable, _elements(self, "apply_")))


def map_(self: Tensor, other: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replace each element by what a Python function makes of it and the same place of `other`.

    Errors: as `apply_`, and ArgumentTypeError if the dtypes differ.
    """
    if other.kind is not self.kind:
        raise ArgumentTypeError(
            f"[map_] expected {self.dtype} on {self.device} for 'other' (got {describe(other)}); convert it"
        )
    others = _elements(other.expand(self.shape), "map_")
    return _replace(self, map(callable, _elements(self, "map_"), others))


def _elements(self: Tensor, asked: str) -> list:
    if self.requires_grad:
        raise AutogradError(
            f"[{asked}] Can't call {asked}() on Variable that requires grad; use var.detach().{asked}()"
        )
    if self.device.type not in ("cpu", "meta"):
        raise ArgumentTypeError(f"[{asked}] is only implemented on CPU tensors, got one on {self.device}")
    return [] if self.device.type == "meta" else host_read(self, asked).numbers()


def _replace(self: Tensor, numbers: Any) -> Tensor:
    if self.device.type == "meta":
        return self
    return copy_into(self, from_numbers(list(numbers), tuple(self.shape), self.dtype, self.device))


METHODS: dict[str, Callable] = {
    f.__name__: f for f in (apply_, item, map_, tolist)
} | {
    "__bool__": truth, "__nonzero__": truth, "__int__": as_int, "__long__": as_int, "__float__": as_float,
    "__complex__": as_complex, "__index__": as_index, "__len__": length, "__contains__": contains,
    "__reversed__": reversed_,
}  # fmt: skip
__all__: list[str] = []
