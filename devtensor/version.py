"""The version, written once: packaging reads it here."""

from __future__ import annotations

__version__ = "0.1.0"

# The PyTorch whose names and behaviour this version has: what libraries are told under `devtensor.as_torch`.
torch_api = "2.13.0"

debug = False
git_version = "unknown"
hip = rocm = xpu = None


def __getattr__(name: str) -> str | None:
    """`cuda`: the CUDA runtime's version as "12.4", or None where CUDA cannot be used."""
    if name != "cuda":
        raise AttributeError(f"module 'devtensor.version' has no attribute {name!r}")
    from devtensor.backend import registry

    if not registry.available("cuda"):
        return None
    told = getattr(registry.get("cuda"), "describe", dict)().get("CUDA")
    return None if told is None else f"{int(told) // 1000}.{int(told) % 1000 // 10}"
