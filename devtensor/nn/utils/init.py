"""Modules made without drawing initial values."""

from __future__ import annotations

import inspect
from typing import Any

from devtensor.core.errors import AutogradError
from devtensor.nn.modules.module import Module


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """A module whose parameters have no values yet, made on the device `kwargs` name, or on the CPU.

    Errors: AutogradError for a class that is no Module, or takes no `device`.
    """
    if not issubclass(module_cls, Module):
        raise AutogradError(f"[skip_init] Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise AutogradError("[skip_init] Module must support a 'device' arg to skip initialization")
    place = kwargs.pop("device", "cpu")
    return module_cls(*args, device="meta", **kwargs).to_empty(device=place)
