"""Which device type is this machine's accelerator."""

from __future__ import annotations

from devtensor.accelerator.face import Face
from devtensor.backend import registry
from devtensor.core.device import UNINDEXED, Device
from devtensor.core.errors import DeviceMissing

__all__ = ["current_accelerator"]


def current_accelerator(check_available: bool = False) -> Device | None:
    """The device type that computes beside the CPU, or None: CUDA if it can be used, else the first that can.

    A type that nothing on this machine can use is no accelerator, so `check_available` changes nothing.
    """
    names = sorted(set(registry.names()) - UNINDEXED, key=lambda name: (name != "cuda", name))
    for name in names:
        if registry.available(name) and getattr(registry.get(name), "target", None) is None:
            return Device(name)
    return None


def face() -> Face:
    """The functions of the accelerator's type.

    Errors: DeviceMissing if there is none.
    """
    found = current_accelerator()
    if found is None:
        raise DeviceMissing(
            "[accelerator] Cannot access accelerator device when none is available; `python -m devtensor` "
            "tells why"
        )
    return Face(found.type)
