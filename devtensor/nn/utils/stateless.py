"""Calling a module with other parameters and buffers than its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError, AutogradError
from devtensor.core.tensor import Tensor
from devtensor.nn.modules.module import Module

__all__ = ["functional_call"]


def functional_call(
    module: Module,
    parameters_and_buffers: Mapping[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """The older place of `devtensor.func.functional_call`."""
    warnings.warn(
        "`devtensor.nn.utils.stateless.functional_call` is the older name of "
        "`devtensor.func.functional_call`; use that",
        FutureWarning,
        stacklevel=2,
    )
    return called(module, parameters_and_buffers, args, kwargs, tie_weights, strict)


def called(
    module: Module, dicts: Any, args: Any, kwargs: dict[str, Any] | None, tie_weights: bool, strict: bool
) -> Any:
    """What the module computes with the tensors of these dicts in place of its own.

    Errors: ArgumentError for a name given twice, AutogradError under strict.
    """
    given = _merged(dicts)
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with swapped(module, given, tie_weights, strict):
        return module(*args, **(kwargs or {}))


def _merged(dicts: Any) -> dict[str, Tensor]:
    if isinstance(dicts, Mapping):
        return dicts  # type: ignore[return-value]
    if not isinstance(dicts, Sequence) or not all(isinstance(one, Mapping) for one in dicts):
        raise ArgumentError(
            "[functional_call] Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, "
            "but "
            f"got {type(dicts).__name__}"
        )
    merged: dict[str, Tensor] = {}
    for one in dicts:
        twice = sorted(merged.keys() & one.keys())
        if twice:
            raise ArgumentError(f"[functional_call] {twice} appear in multiple dictionaries; name each once")
        merged.update(one)
    return merged


@contextmanager
def swapped(module: Module, given: dict[str, Tensor], tie_weights: bool, strict: bool) -> Iterator[None]:
    """Within it the module has these tensors; what it binds anew meanwhile is put into `given`."""
    places = _places(module)
    unknown = sorted(given.keys() - places.keys())
    missing = sorted(places.keys() - given.keys())
    if strict and (unknown or missing):
        raise AutogradError(
            f"[functional_call] Error(s) in swapping with strict=True: Unexpected key(s): {unknown}. Missing "
            f"key(s): {missing}."
        )
    chosen = {name: value for name, value in given.items() if name in places}
    for name, value in chosen.items():
        if not isinstance(value, Tensor):
            raise ArgumentTypeError(
                f"[functional_call] {name} is {type(value).__name__}; it must be a Tensor"
            )
    if tie_weights:
        chosen |= _tied(places, chosen)
    own = {name: places[name][0][places[name][1]] for name in chosen}
    try:
        for name, value in chosen.items():
            table, key = places[name]
            table[key] = value
        yield
    finally:
        for name, value in own.items():
            table, key = places[name]
            if name in given:
                given[name] = table[key]
            table[key] = value


def _places(module: Module) -> dict[str, tuple[dict, str]]:
    """For every name of a parameter or buffer the table that holds it, and its name there."""
    found = {}
    for path, part in module.named_modules(remove_duplicate=False):
        for table in (part._parameters, part._buffers):
            for name, value in table.items():
                if value is not None:
                    found[f"{path}.{name}" if path else name] = table, name
    return found


def _tied(places: dict, chosen: dict[str, Tensor]) -> dict[str, Tensor]:
    """For the other names of members that were given under one, the same tensors.

    Errors: ArgumentError if two names of one member were given different tensors.
    """
    by_member: dict[int, Tensor] = {}
    for name, value in chosen.items():
        table, key = places[name]
        before = by_member.setdefault(id(table[key]), value)
        if before is not value:
            raise ArgumentError(
                f"[functional_call] {name} is tied to another name that was given another tensor; give one, "
                "or "
                "set tie_weights=False"
            )
    return {
        name: by_member[id(table[key])]
        for name, (table, key) in places.items()
        if name not in chosen and id(table[key]) in by_member
    }
