"""Apple's devices: there if a plug-in serves the device type "mps"."""

from __future__ import annotations

from devtensor.backend import registry

__all__ = ["is_available", "is_built", "is_macos13_or_newer", "is_macos_or_newer"]


def is_available() -> bool:
    """Whether an MPS device can be used."""
    return registry.available("mps")


def is_built() -> bool:
    """Whether a backend for MPS is on offer."""
    return "mps" in registry.names()


def is_macos_or_newer(major: int, minor: int = 0) -> bool:
    """Whether the system is macOS of this version or newer."""
    import platform

    version = platform.mac_ver()[0]
    return bool(version) and tuple(map(int, version.split(".")[:2])) >= (major, minor)


def is_macos13_or_newer(minor: int = 0) -> bool:
    """Whether the system is macOS 13 of this minor version or newer."""
    return is_macos_or_newer(13, minor)
