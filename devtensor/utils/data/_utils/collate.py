"""PyTorch's private path to the functions that make a batch of samples."""

from __future__ import annotations

from devtensor.utils.data.collate import (
    collate,
    default_collate,
    default_collate_fn_map,
    default_convert,
)

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]
