"""Pruning: parameters multiplied by masks of zeros and ones.

A pruned parameter is kept as `name`_orig, its mask is the buffer `name`_mask, and a hook multiplies the two
before each forward.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.functions.creation import ones_like
from devtensor.nn.modules.module import Module
from devtensor.nn.utils.convert_parameters import parameters_to_vector
from devtensor.nn.utils.pruning import BasePruningMethod, PruningContainer
from devtensor.nn.utils.pruning_choices import (
    CustomFromMask,
    Identity,
    L1Unstructured,
    LnStructured,
    RandomStructured,
    RandomUnstructured,
    _compute_norm,
    _compute_nparams_toprune,
    _validate_pruning_amount,
    _validate_pruning_amount_init,
    _validate_pruning_dim,
    _validate_structured_pruning,
)

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "_compute_norm",
    "_compute_nparams_toprune",
    "_validate_pruning_amount",
    "_validate_pruning_amount_init",
    "_validate_pruning_dim",
    "_validate_structured_pruning",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]

METHODS = (
    BasePruningMethod, CustomFromMask, Identity, L1Unstructured, LnStructured, PruningContainer,
    RandomStructured, RandomUnstructured,
)  # fmt: skip
for _method in METHODS:
    # Hooks print, and pickles find, the class where PyTorch has it.
    _method.__module__ = __name__


def identity(module: Module, name: str) -> Module:
    """Give a parameter a mask of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: Any) -> Module:
    """Prune numbers of a parameter at random: a share if `amount` is a float, else so many."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Module, name: str, amount: Any, importance_scores: Any = None) -> Module:
    """Prune the numbers of a parameter nearest to zero, or of the lowest scores."""
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: Any, dim: int) -> Module:
    """Prune slices of a parameter along `dim` at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None
) -> Module:
    """Prune the slices of a parameter along `dim` whose norm of order `n` is the lowest."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Any) -> Module:
    """Prune a parameter where `mask` is zero."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Any, pruning_method: Any, importance_scores: Any = None, **kwargs: Any
) -> None:
    """Prune several parameters, given as (module, name), as if they were one.

    Errors: ArgumentTypeError unless `parameters` is iterable, the scores are a dict by (module, name), and
    the method is an unstructured one.
    """
    if not isinstance(parameters, Iterable):
        raise ArgumentTypeError("[global_unstructured] parameters is not an Iterable")
    chosen = list(parameters)
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise ArgumentTypeError("[global_unstructured] importance_scores must be of type dict")
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise ArgumentTypeError(
            '[global_unstructured] Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. '
            f"Found method {pruning_method} of type {method.PRUNING_TYPE}"
        )
    tensors = [getattr(module, name) for module, name in chosen]
    deciding = [scores.get(key, tensor) for key, tensor in zip(chosen, tensors, strict=True)]
    masks = [
        getattr(module, f"{name}_mask", ones_like(tensor))
        for (module, name), tensor in zip(chosen, tensors, strict=True)
    ]
    method._tensor_name = "together"
    together = PruningContainer(method)
    mask: Any = together.compute_mask(parameters_to_vector(deciding), parameters_to_vector(masks))
    parts = mask.split([tensor.numel() for tensor in tensors])
    for (module, name), tensor, part in zip(chosen, tensors, parts, strict=True):
        custom_from_mask(module, name, mask=part.view_as(tensor))


def remove(module: Module, name: str) -> Module:
    """Make a pruned parameter an ordinary one; what was pruned stays zero.

    Errors: ArgumentError if it is not pruned.
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ArgumentError(
        f"[prune] Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
    )


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of any below it, is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for part in module.modules()
        for hook in part._forward_pre_hooks.values()
    )
