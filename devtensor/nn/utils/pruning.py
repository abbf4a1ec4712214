"""How parameters are pruned: the base of all methods, and several in a row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

from devtensor.core.errors import ArgumentError, ArgumentTypeError, DimensionError, ShapeError
from devtensor.functions.creation import ones_like
from devtensor.nn.modules.module import Module


class PruningError(ShapeError, AssertionError):
    """Pruning that does not fit the parameter."""


class BasePruningMethod(ABC):
    """Base of the ways to choose what is pruned: a subclass says in `compute_mask` what stays.

    `PRUNING_TYPE` tells what a further method chooses among: "unstructured" among the numbers that are left,
    "structured" among the slices along `dim` that are left, "global" among all.
    """

    PRUNING_TYPE: ClassVar[str]
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask for `t`, on top of what `default_mask` already takes away."""

    def apply_mask(self, module: Module) -> Any:
        """The pruned tensor."""
        if self._tensor_name is None:
            raise PruningError(f"[prune] Module {module} has to be pruned; call apply")
        mask, original = (getattr(module, self._tensor_name + suffix) for suffix in ("_mask", "_orig"))
        return mask.to(dtype=original.dtype) * original

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any
    ) -> BasePruningMethod:
        """Prune the parameter, or prune it further, by a method made of the arguments.

        The numbers that decide are the parameter's own, or `importance_scores`.

        Errors: PruningError (an AssertionError) for scores of another shape.
        """
        method = _joined(_taken_hook(module, name), cls(*args, **kwargs), name)
        original = getattr(module, name)
        scores = _scores(original, importance_scores, f"parameter {name} of {module}")
        first = not isinstance(method, PruningContainer)
        if first:
            module.register_parameter(f"{name}_orig", original)
            del module._parameters[name]
            known: Any = ones_like(original)
        else:
            known = getattr(module, f"{name}_mask").detach().clone()
        try:
            module.register_buffer(f"{name}_mask", method.compute_mask(scores, default_mask=known))
            setattr(module, name, method.apply_mask(module))
            module.register_forward_pre_hook(method)
        except Exception:
            if first:
                del module._parameters[f"{name}_orig"]
                module.register_parameter(name, original)
            raise
        return method

    def prune(self, t: Any, default_mask: Any = None, importance_scores: Any = None) -> Any:
        """`t` pruned, without a module.

        Errors: PruningError (an AssertionError) for scores of another shape.
        """
        scores = _scores(t, importance_scores, "tensor t")
        known = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=known)

    def remove(self, module: Any) -> None:
        """Make the parameter an ordinary one that has lost what was pruned."""
        name = self._tensor_name
        if name is None:
            raise PruningError(f"[prune] Module {module} has to be pruned before pruning can be removed")
        pruned = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original = module._parameters[f"{name}_orig"]
        original.data = pruned.data
        del module._parameters[f"{name}_orig"]
        del module._buffers[f"{name}_mask"]
        setattr(module, name, original)


def _scores(tensor: Any, scores: Any, what: str) -> Any:
    if scores is None:
        return tensor
    if scores.shape != tensor.shape:
        raise PruningError(
            f"[prune] importance_scores should have the same shape as {what}, got {scores.shape} vs "
            f"{tensor.shape}"
        )
    return scores


def _taken_hook(module: Module, name: str) -> BasePruningMethod | None:
    """The method that prunes the parameter so far, its hook removed."""
    hooks = module._forward_pre_hooks
    found = [
        key
        for key, hook in hooks.items()
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name
    ]
    if len(found) > 1:
        raise PruningError(
            f"[prune] Avoid adding multiple pruning hooks to the same tensor {name} of module {module}. "
            "Use a PruningContainer."
        )
    return hooks.pop(found[0]) if found else None


def _joined(old: BasePruningMethod | None, new: BasePruningMethod, name: str) -> BasePruningMethod:
    """The new method alone, or behind those that were there."""
    new._tensor_name = name
    if old is None:
        return new
    container = old if isinstance(old, PruningContainer) else PruningContainer(old)
    container.add_pruning_method(new)
    return container


class PruningContainer(BasePruningMethod):
    """Several methods for one parameter, one after the other; each chooses among what the others left."""

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[Any, ...] = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Add a method for the same parameter.

        Errors: ArgumentTypeError for anything else, ArgumentError for a method of another parameter.
        """
        if method is not None and not isinstance(method, BasePruningMethod):
            raise ArgumentTypeError(f"[prune] {type(method)} is not a BasePruningMethod subclass")
        if method is not None and self._tensor_name != method._tensor_name:
            raise ArgumentError(
                "[prune] Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: Any) -> Any:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask so far, and on top of it that of the latest method."""
        method = self._pruning_methods[-1]
        part = _part_for(method, t, default_mask)
        mask = default_mask.to(dtype=t.dtype).clone()
        mask[part] = method.compute_mask(t[part], default_mask=default_mask[part]).to(dtype=mask.dtype)
        return mask


def _part_for(method: Any, t: Any, mask: Any) -> Any:
    """The index of what a method chooses among."""
    if method.PRUNING_TYPE == "unstructured":
        return mask == 1
    if method.PRUNING_TYPE == "global":
        return (slice(None),) * t.dim()
    if method.PRUNING_TYPE != "structured":
        raise ArgumentError(f"[prune] Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
    if not hasattr(method, "dim"):
        raise AttributeError(
            '[prune] Pruning methods of PRUNING_TYPE "structured" need to have the attribute `dim` defined.'
        )
    dim = method.dim + t.dim() if method.dim < 0 else method.dim
    if dim < 0:
        raise DimensionError(f"[prune] Index is out of bounds for tensor with dimensions {t.dim()}")
    kept = mask.sum(dim=[d for d in range(t.dim()) if d != dim]) != 0
    return (slice(None),) * dim + (kept,)
