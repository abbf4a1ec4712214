"""Tensors that ask for a gradient."""

from __future__ import annotations

import devtensor


def leaf(*values: float) -> devtensor.Tensor:
    """Some numbers in float64, or 1, 2 and 3."""
    return devtensor.tensor(values or (1.0, 2.0, 3.0), dtype=devtensor.float64, requires_grad=True)
