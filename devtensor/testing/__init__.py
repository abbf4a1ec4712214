"""What tests are made of: comparisons, tensors drawn from examples, and the conformance suite for backends.

Everything is loaded when first asked for, since it brings NumPy.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "assert_allclose": "closeness",
    "assert_close": "closeness",
    "check_op": "conformance",
    "check_backend": "conformance",
    "samples_of": "cases",
    "to_numpy": "cases",
    "check_gradients": "gradients",
    "make_tensor": "random_tensors",
}
__all__ = [
    "assert_allclose",
    "assert_close",
    "check_backend",
    "check_gradients",
    "check_op",
    "make_tensor",
    "samples_of",
    "to_numpy",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'devtensor.testing' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"devtensor.testing.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
