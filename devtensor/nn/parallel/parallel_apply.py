"""Copies of a model, each run on its own device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from devtensor.accelerator import device_index
from devtensor.core.errors import ContractError
from devtensor.core.tensor import Tensor
from devtensor.nn.modules.module import Module
from devtensor.nn.parallel.scatter_gather import members

__all__ = ["parallel_apply"]


def parallel_apply(
    modules: Sequence[Module],
    inputs: Sequence[Any],
    kwargs_tup: Sequence[dict[str, Any]] | None = None,
    devices: Sequence[Any] | None = None,
) -> list[Any]:
    """What each model gives for its inputs, run while its device is the current one.

    They are started one after the other by this thread, so that grad mode and autocast hold as they are;
    devices compute side by side, as nothing waits for them.

    Errors: ContractError unless all are equally many. An error inside tells in which copy it was raised.
    """
    named = [{}] * len(modules) if kwargs_tup is None else kwargs_tup
    places = [None] * len(modules) if devices is None else devices
    for what, given in (("inputs", inputs), ("kwargs_tup", named), ("devices", places)):
        if len(given) != len(modules):
            raise ContractError(
                f"[parallel_apply] The number of modules {len(modules)} is not equal to the number of {what} "
                f"{len(given)}"
            )
    calls = zip(modules, inputs, named, places, strict=True)
    return [run(number, *call) for number, call in enumerate(calls)]


def run(number: int, module: Module, inputs: Any, kwargs: dict[str, Any], device: Any) -> Any:
    """One model's result, with its device as the current one: that of its first tensor if none is named."""
    given = inputs if isinstance(inputs, list | tuple) else (inputs,)
    found = next(tensors_in(given), None) if device is None else device
    index = found.get_device() if isinstance(found, Tensor) else getattr(found, "index", found)
    if index is None:
        raise ContractError(
            f"[parallel_apply] in replica {number}, no device was provided and no tensor input was found; "
            "device cannot be resolved"
        )
    with device_index(index):
        try:
            return module(*given, **kwargs)
        except Exception as error:
            error.add_note(f"in replica {number} on device {index}")
            raise


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Tensors in a structure, from the first to the last."""
    if isinstance(value, Tensor):
        yield value
    for each in members(value):
        yield from tensors_in(each)
