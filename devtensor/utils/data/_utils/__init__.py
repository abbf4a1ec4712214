"""PyTorch's private path to how batches are collated; scripts import from it."""

from __future__ import annotations

from devtensor.utils.data._utils import collate

__all__ = ["collate"]
