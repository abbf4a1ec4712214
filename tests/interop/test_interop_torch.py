"""What passes between tensors, NumPy and Python agrees with PyTorch: an optional run (--oracle torch).

Each line of tests/data/interop_expressions.txt is evaluated with `torch` as PyTorch and as devtensor; each of
tests/data/comparisons.txt is handed to both modules' `assert_close`.
"""

from __future__ import annotations

import array
import copy
import math
import pickle
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import devtensor

DATA = Path(__file__).parent.parent / "data"
NAMES = {
    "array": array, "copy": copy, "inf": math.inf, "math": math, "nan": math.nan, "np": np, "pickle": pickle,
    "weakref": weakref,
}  # fmt: skip


def lines(name: str) -> list[str]:
    """The lines of a file of expressions; those that begin with # are headings."""
    return [line for line in (DATA / name).read_text().splitlines() if line and not line.startswith("#")]


def evaluated(module: Any, line: str) -> Any:
    """The value of an expression, or of `r` after statements."""
    scope = {**NAMES, "torch": module, "T": module.tensor}
    if ";" not in line:
        return eval(line, scope)
    exec(line, scope)
    return scope["r"]


def described(module: Any, value: Any) -> Any:
    """All that two modules' values can be compared by."""
    if isinstance(value, module.Tensor):
        numbers = None if value.device.type == "meta" else repr(value.detach().tolist())
        return "tensor", str(value.dtype).split(".")[-1], tuple(value.shape), numbers, value.requires_grad
    if isinstance(value, (np.ndarray, np.generic)):
        return type(value).__name__, value.dtype.name, value.shape, repr(value.tolist())
    if isinstance(value, (list, tuple)):
        return tuple(described(module, item) for item in value)
    return repr(value).replace("devtensor", "torch")


def builtin_kind(error: Exception) -> type:
    """The class of Python's own that an error is of."""
    return next(kind for kind in type(error).__mro__ if kind.__module__ == "builtins")


@pytest.mark.filterwarnings("ignore")  # PyTorch's and NumPy's
@pytest.mark.parametrize("line", lines("interop_expressions.txt"))
def test_expressions(line, torch):
    try:
        wanted = described(torch, evaluated(torch, line))
    except Exception as error:
        with pytest.raises(builtin_kind(error)):
            evaluated(devtensor, line)
    else:
        assert described(devtensor, evaluated(devtensor, line)) == wanted


def complaint(module: Any, line: str) -> str:
    """What `assert_close` says of two values, and nothing if they are close."""
    try:
        evaluated(module, f"torch.testing.assert_close{line}")
    except Exception as error:
        kind = "AssertionError" if isinstance(error, AssertionError) else "another"
        return f"{kind}: {error}".replace("devtensor", "torch")
    return ""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("line", lines("comparisons.txt"))
def test_comparisons(line, torch):
    assert complaint(devtensor, line) == complaint(torch, line)
