"""Modules as functions: called with given parameters, and several of them stacked into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from devtensor.core.errors import AutogradError
from devtensor.core.tensor import Tensor, share
from devtensor.func.nests import stacked
from devtensor.nn.modules.module import Module
from devtensor.nn.utils.stateless import called

__all__ = ["functional_call", "stack_module_state"]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """What the module computes where the named parameters and buffers are these tensors; it keeps its own.

    A name of a tied weight stands for all its names, unless `tie_weights` is False. With `strict` all names
    must be given, and no others.

    Errors: ArgumentError for a name given twice, AutogradError under strict.
    """
    return called(module, parameter_and_buffer_dicts, args, kwargs, tie_weights, strict)


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the buffers of modules of one architecture, each stacked along a new first dim.

    Errors: AutogradError for no modules, or modules of different classes or modes.
    """
    if not models:
        raise AutogradError("[stack_module_state] Expected at least one model, got 0.")
    if len({model.training for model in models}) > 1:
        raise AutogradError("[stack_module_state] Expected all models to have the same training/eval mode.")
    if len({type(model) for model in models}) > 1:
        raise AutogradError("[stack_module_state] Expected all models to be of the same class.")
    params = [dict(model.named_parameters()) for model in models]
    buffers = [dict(model.named_buffers()) for model in models]
    return (
        {name: _leaf([one[name] for one in params]) for name in params[0]},
        {name: _leaf([one[name] for one in buffers]) for name in buffers[0]},
    )


def _leaf(values: list[Tensor]) -> Tensor:
    """The values stacked, as a leaf that requires a gradient if they do."""
    wanted = {value.requires_grad for value in values}
    if len(wanted) > 1:
        raise AutogradError(
            "[stack_module_state] Expected parameters of one name to have the same .requires_grad state."
        )
    made = share(stacked([share(value) for value in values], 0))
    made.requires_grad = wanted.pop()
    return made
