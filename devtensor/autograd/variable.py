"""Variable: the name that tensors with gradients once had."""

from __future__ import annotations

from typing import Any

from devtensor.core.tensor import Tensor, share


class VariableType(type):
    """The class of Variable: every tensor is one."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Tensor)

    def __call__(cls, data: Tensor, requires_grad: bool = False, volatile: bool = False) -> Tensor:
        made = share(data)
        return made.requires_grad_(requires_grad)  # type: ignore[attr-defined]


class Variable(metaclass=VariableType):
    """A handle on a tensor's memory, with a gradient if wanted: what `data.detach().requires_grad_()`
    gives."""
