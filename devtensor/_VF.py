"""Functions that PyTorch's layers call by this name; they are names of `devtensor` itself."""

from __future__ import annotations

from typing import Any

NAMES = ("_pack_padded_sequence", "_pad_packed_sequence")


def __getattr__(name: str) -> Any:
    import devtensor

    if name in NAMES or (not name.startswith("_") and callable(getattr(devtensor, name, None))):
        return getattr(devtensor, name)
    raise AttributeError(f"module 'devtensor._VF' has no attribute {name!r}")
