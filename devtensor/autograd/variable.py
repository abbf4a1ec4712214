"""Variable: the name that tensors with gradients once had."""

from __future__ import annotations

from typing import Any, NoReturn

from devtensor.core.errors import ArgumentTypeError
from devtensor.core.refusal import refuse
from devtensor.core.tensor import Tensor, share


class VariableType(type):
    """The class of Variable: every tensor is one."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Tensor)

    def __call__(cls, data: Tensor, requires_grad: bool = False, volatile: bool = False) -> Tensor:
        if not isinstance(data, Tensor):
            raise ArgumentTypeError(
                f"[Variable] Variable data has to be a tensor, but got {type(data).__name__}; use tensor()"
            )
        made = share(data)
        return made.requires_grad_(requires_grad)  # type: ignore[attr-defined]


def variable(*args: Any, **kwargs: Any) -> NoReturn:
    """Refused, as in PyTorch: the function's name is `devtensor.tensor`.

    Errors: Unsupported always.
    """
    refuse("autograd.variable", "it was replaced by devtensor.tensor(...) long ago; use that")


class Variable(metaclass=VariableType):
    """A handle on a tensor's memory, with a gradient if wanted: what `data.detach().requires_grad_()`
    gives."""
