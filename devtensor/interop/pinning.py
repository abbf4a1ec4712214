"""Page-locked host memory, from which copies to a device need not be waited for."""

from __future__ import annotations

from typing import Any

from devtensor.backend import registry
from devtensor.core.errors import ArgumentError, DeviceMissing
from devtensor.core.tensor import Tensor, describe, wrap

__all__ = ["is_pinned", "pin_memory"]


def pinning() -> Any:
    """The backend that pins host memory, or None."""
    backend: Any = registry.get("cuda") if registry.available("cuda") else None
    return backend if hasattr(backend, "pin") else None


def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether the memory is page-locked for copies to a device."""
    found = pinning() if self.kind.device.type == "cpu" else None
    return found is not None and found.is_pinned(self.array)


def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """The tensor in page-locked host memory: itself if it lies there, else a copy.

    Where the accelerator's backend has no such memory, the tensor itself.

    Errors: ArgumentError for a tensor that does not lie on the host, DeviceMissing without an accelerator.
    """
    if self.kind.device.type != "cpu":
        raise ArgumentError(f"[pin_memory] cannot pin {describe(self)}: only dense CPU tensors can be pinned")
    if not registry.available("cuda"):
        raise DeviceMissing(
            "[pin_memory] Cannot access accelerator device when none is available; pinned memory serves "
            "copies to one, leave it out here"
        )
    found = pinning()
    if found is None or is_pinned(self):
        return self
    return wrap(self.kind.device.backend.adopt(found.pin(self.array)), self.kind)
