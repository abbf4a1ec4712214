"""The array API protocol: the namespace that goes with tensors."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor

VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")


def array_namespace(self: Tensor, *, api_version: str | None = None) -> Any:
    """`devtensor.array_api`, which has the standard's functions.

    Errors: ArgumentError for a version of the standard that it does not follow.
    """
    if api_version not in (None, *VERSIONS):
        raise ArgumentError(
            f"[__array_namespace__] api_version is {api_version!r}; it needs one of {', '.join(VERSIONS)}"
        )
    from devtensor import array_api

    return array_api


def to_device(self: Tensor, device: Any, /, *, stream: Any = None) -> Tensor:
    """The tensor on another device, as the array API spells it.

    Errors: ArgumentError for a stream: there is none to wait for but the current one.
    """
    if stream is not None:
        raise ArgumentError(f"[to_device] stream is {stream!r}; it must be None")
    return self.to(device)


METHODS = {"__array_namespace__": array_namespace, "to_device": to_device}
