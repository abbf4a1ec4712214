"""Helpers around the core: data loading, files, interchange."""

from __future__ import annotations

import importlib
from typing import Any

_ROOMS = (
    "_pytree", "backcompat", "benchmark", "checkpoint", "cpp_extension", "data", "deterministic", "dlpack",
    "hooks", "model_zoo", "safetensors", "weak",
)  # fmt: skip
# Names that live in modules which are loaded when first asked for.
_ELSEWHERE = {"swap_tensors": "swapping"}


def __getattr__(name: str) -> Any:
    """Load a room of the package, or the module of a name, when it is first asked for."""
    if name in _ROOMS:
        return importlib.import_module(f"devtensor.utils.{name}")
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(f"devtensor.utils.{_ELSEWHERE[name]}"), name)
    raise AttributeError(f"module 'devtensor.utils' has no attribute {name!r}")
