"""Weight normalisation by a hook, the older way: `parametrizations.weight_norm` is the newer."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.linalg.norms import _weight_norm, norm_except_dim
from devtensor.nn.modules.module import Module
from devtensor.nn.parameter import Parameter, is_lazy

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]

SomeModule = TypeVar("SomeModule", bound=Module)


class WeightNorm:
    """The hook: before each forward the tensor is `name`_v, scaled to the norm `name`_g."""

    name: str
    dim: int

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Any:
        """The tensor from its direction and its norm."""
        return _weight_norm(getattr(module, f"{self.name}_v"), getattr(module, f"{self.name}_g"), self.dim)

    @staticmethod
    def apply(module: Module, name: str, dim: int | None) -> WeightNorm:
        """Split the parameter in two and register the hook."""
        warnings.warn(
            "`nn.utils.weight_norm` is deprecated in favor of `nn.utils.parametrizations.weight_norm`.",
            FutureWarning,
            stacklevel=3,
        )
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm) and hook.name == name:
                raise AutogradError(
                    f"[weight_norm] Cannot register two weight_norm hooks on the same parameter {name}"
                )
        made = WeightNorm(name, dim)
        weight: Any = getattr(module, name)
        if is_lazy(weight):
            raise ArgumentError(
                "[weight_norm] The module can't have uninitialized parameters; call forward once before"
            )
        del module._parameters[name]
        module.register_parameter(f"{name}_g", Parameter(norm_except_dim(weight, 2, made.dim).data))
        module.register_parameter(f"{name}_v", Parameter(weight.data))
        setattr(module, name, made.compute_weight(module))
        module.register_forward_pre_hook(made)
        return made

    def remove(self, module: Module) -> None:
        """Make the tensor a parameter again."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[f"{self.name}_g"]
        del module._parameters[f"{self.name}_v"]
        setattr(module, self.name, Parameter(weight.data))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: SomeModule, name: str = "weight", dim: int | None = 0) -> SomeModule:
    """Train the norm and the direction of a parameter apart, as `name`_g and `name`_v.

    The norm is that of each slice along `dim`, or with None that of all.

    Source: Salimans and Kingma 2016.
    """
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: SomeModule, name: str = "weight") -> SomeModule:
    """Undo `weight_norm`; the parameter keeps its value.

    Errors: ArgumentError if there is none on that name.
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ArgumentError(f"[remove_weight_norm] weight_norm of '{name}' not found in {module}")
