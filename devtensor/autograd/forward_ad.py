"""Forward mode: dual tensors, which carry a tangent through a computation.

Nothing is computed on the way forward: a tangent is found when it is asked for, by two passes backward over
what was recorded (`functional.jvp` does the same). So duals are recorded as what requires grad is, and
`no_grad` hides their tangents.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from devtensor.autograd.evaluated import pushed
from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.core.layout import same_strides, strides_like
from devtensor.core.state import enable_grad
from devtensor.core.tensor import Tensor, describe, share
from devtensor.ops.create import lay_out
from devtensor.ops.shape import getitem

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """A value, and its derivative as the duals it was made from move along their tangents, or None."""

    primal: Tensor
    tangent: Tensor | None


class Level:
    """The duals that were made since the level was entered, each with its tangent."""

    def __init__(self) -> None:
        self.duals: list[Tensor] = []
        self.tangents: list[Tensor] = []
        self.versions: list[int] = []

    def add(self, dual: Tensor, tangent: Tensor) -> None:
        self.duals.append(dual)
        self.tangents.append(tangent)
        self.versions.append(dual._version)

    def tangent_of(self, tensor: Tensor) -> Tensor | None:
        """The tangent that this very tensor was given, if nobody wrote into it since."""
        for dual, tangent, version in zip(self.duals, self.tangents, self.versions, strict=True):
            if dual is tensor and version == tensor._version:
                return tangent
        return None


# PyTorch has one level at most, which it calls 0.
levels: list[Level] = []


def enter_dual_level() -> int:
    """Begin a level, in which duals can be made.

    Errors: AutogradError inside another level.
    """
    if levels:
        raise AutogradError("[forward_ad] Nested forward mode AD is not supported; leave the level first")
    levels.append(Level())
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """End a level: its duals are plain tensors from here on.

    Errors: AutogradError if it is not the one that was entered.
    """
    if level not in (None, len(levels) - 1) or not levels:
        raise AutogradError(
            f"[forward_ad] Trying to exit a forward AD level ({level}) that was not the last one entered"
        )
    levels.pop()


class dual_level:
    """A level for the time of a with statement.

    Example:
        >>> import devtensor
        >>> from devtensor.autograd import forward_ad
        >>> with forward_ad.dual_level():
        ...     x = forward_ad.make_dual(devtensor.tensor(3.0), devtensor.tensor(1.0))
        ...     forward_ad.unpack_dual(x * x).tangent
        tensor(6.)
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exception: Any) -> None:
        exit_dual_level()


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """`tensor` carrying `tangent`: a view of it.

    Shapes: tensor (*S), tangent (*S) -> (*S)
    Errors: AutogradError outside of a level or if shapes or dtypes differ; ArgumentError unless both are
    floating point or complex.
    """
    if not levels:
        raise AutogradError(
            "[make_dual] Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first"
        )
    for name, value in (("primal", tensor), ("tangent", tangent)):
        if not value.dtype.differentiable:
            raise ArgumentError(
                f"[make_dual] Expected {name} to be floating point or complex, but got: {value.dtype.name}"
            )
    if tensor.shape != tangent.shape or tensor.kind is not tangent.kind:
        raise AutogradError(
            f"[make_dual] tensor is {describe(tensor)} and tangent {describe(tangent)}; Expected tangent to "
            "have the shape, dtype and device of its primal"
        )
    with enable_grad():
        dual = getitem(tensor, ()) if tensor.requires_grad else share(tensor).requires_grad_()  # type: ignore[attr-defined]
    strides = strides_like(tensor.shape, tensor.stride())  # type: ignore[attr-defined]
    if not same_strides(tensor.shape, tangent.stride(), strides):  # type: ignore[attr-defined]
        tangent = lay_out(tangent, strides)
    levels[-1].add(dual, tangent)
    return dual


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The tensor without what it carries, and its tangent: None if no dual has a part in it.

    Both can be differentiated by leaves that took part and required grad before.
    """
    if not levels or not tensor.requires_grad:
        return UnpackedDualTensor(tensor, None)
    duals, tangents = levels[-1].duals, levels[-1].tangents
    others = _depends_on_others(tensor, duals)
    given = levels[-1].tangent_of(tensor)
    if given is not None:
        return UnpackedDualTensor(getitem(tensor, ()) if others else share(tensor), given)
    with enable_grad():
        tangent = pushed([tensor], duals, tangents, True, materialize=False)[0] if duals else None
    if others:
        return UnpackedDualTensor(share(tensor) if tangent is None else getitem(tensor, ()), tangent)
    return UnpackedDualTensor(share(tensor), None if tangent is None else share(tangent))


def _depends_on_others(tensor: Tensor, duals: list[Tensor]) -> bool:
    """Whether leaves other than the duals took part, by which tangents and values are differentiated too."""
    own = {id(dual) for dual in duals if dual.is_leaf}
    if tensor.is_leaf:
        return id(tensor) not in own
    seen, waiting = set(), [tensor.grad_fn]  # type: ignore[attr-defined]
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        variable = getattr(node, "variable", None)
        if variable is not None and id(variable) not in own:
            return True
        waiting.extend(edge for edge, _ in node.next_functions)
    return False
