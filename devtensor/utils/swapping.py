"""Two tensors that change places while everyone keeps hold of them."""

from __future__ import annotations

from devtensor.core.errors import AutogradError
from devtensor.core.tensor import Tensor

__all__ = ["swap_tensors"]

SLOTS = ("array", "kind", "node", "alias", "_grad", "_requires_grad")


def swap_tensors(t1: Tensor, t2: Tensor) -> None:
    """Exchange what two tensors are: class, memory, gradient and attributes; who holds one, holds the other.

    Errors: AutogradError if one was made by a recorded op, or a recorded op has used it.
    """
    for tensor in (t1, t2):
        if not tensor.is_leaf:
            raise AutogradError("[swap_tensors] a tensor with a history cannot be swapped; detach() it")
    missing = object()
    first = {name: getattr_slot(t1, name, missing) for name in SLOTS}
    second = {name: getattr_slot(t2, name, missing) for name in SLOTS}
    t1.__class__, t2.__class__ = t2.__class__, t1.__class__
    t1.__dict__, t2.__dict__ = t2.__dict__, t1.__dict__
    for target, held in ((t1, second), (t2, first)):
        for name, value in held.items():
            slot = vars(Tensor)[name]
            if value is not missing:
                slot.__set__(target, value)
            elif hasattr_slot(target, name):
                slot.__delete__(target)


def getattr_slot(tensor: Tensor, name: str, default: object) -> object:
    """What a slot holds, past the property of the same name."""
    try:
        return vars(Tensor)[name].__get__(tensor)
    except AttributeError:
        return default


def hasattr_slot(tensor: Tensor, name: str) -> bool:
    """Whether a slot holds anything."""
    return getattr_slot(tensor, name, None) is not None
