"""PyTorch's path to functions that it writes in Python; they are names of `devtensor` itself."""

from __future__ import annotations

from typing import Any

NAMES = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_shapes",
    "broadcast_tensors",
    "cartesian_prod",
    "cdist",
    "einsum",
    "meshgrid",
    "norm",
    "split",
    "stft",
    "tensordot",
    "unique",
    "unique_consecutive",
]


def __getattr__(name: str) -> Any:
    import devtensor

    if name in NAMES:
        return getattr(devtensor, name)
    raise AttributeError(f"module 'devtensor.functional' has no attribute {name!r}")
