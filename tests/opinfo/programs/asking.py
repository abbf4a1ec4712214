"""What is asked of every tensor of a program, and whether the answers of two libraries are equal."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

ERRORS = (
    NotImplementedError,
    RuntimeError,
    IndexError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
)
NEAR = {
    "float64": 1e-7,
    "complex128": 1e-7,
    "float32": 1e-4,
    "complex64": 1e-4,
    "float16": 2e-2,
    "bfloat16": 8e-2,
}

QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "shape": lambda x: tuple(x.shape),
    "dtype": lambda x: str(x.dtype).split(".")[-1],
    "requires_grad": lambda x: x.requires_grad,
    "is_leaf": lambda x: x.is_leaf,
    "grad_fn": lambda x: x.grad_fn is None,
    "_version": lambda x: None if x.is_inference() else x._version,
    "is_inference": lambda x: x.is_inference(),
    "is_contiguous": lambda x: x.is_contiguous(),
    "retains_grad": lambda x: x.retains_grad,
    "strides": lambda x: [s for s, n in zip(x.stride(), x.shape, strict=True) if n > 1] if x.numel() else [],
    "offset": lambda x: x.storage_offset() if x.numel() else 0,
}


def answer(ask: Callable[[Any], Any], x: Any) -> Any:
    try:
        return ask(x)
    except ERRORS as error:
        return next(kind.__name__ for kind in ERRORS if isinstance(error, kind))


def numbers(x: Any) -> np.ndarray:
    """The numbers of either library's tensor."""
    x = x.detach().clone()
    if hasattr(x, "resolve_neg"):
        x = x.resolve_conj().resolve_neg()
    return (x.float() if "bfloat16" in str(x.dtype) else x).numpy()


def same(wanted: Any, found: Any, dtype: str) -> bool:
    """Whether two answers are equal; numbers as near as their dtype allows."""
    if not (isinstance(wanted, np.ndarray) and isinstance(found, np.ndarray)):
        return type(wanted) is type(found) and wanted == found
    near = NEAR.get(dtype)
    if wanted.shape != found.shape:
        return False
    if near is None:
        return bool((wanted == found).all())
    with np.errstate(all="ignore"):
        size = np.abs(np.where(np.isfinite(wanted), wanted, 0)).max(initial=1.0)
        return bool(np.isclose(wanted, found, near, near * size, equal_nan=True).all())


def differences(wanted: dict[str, dict], found: dict[str, dict]) -> list[str]:
    """What differs in the answers of two libraries, in words."""
    texts = []
    for name, answers in wanted.items():
        for question, left in answers.items():
            right = found[name].get(question)
            if not same(left, right, answers["dtype"]):
                left, right = (
                    list(map(str, part.flat)) if isinstance(part, np.ndarray) else part
                    for part in (left, right)
                )
                texts.append(f"{question} {left}; ours {right} (of {name})")
    return texts


def memory(x: Any) -> int:
    return x.untyped_storage().data_ptr() if x.numel() else 0


def plain(value: Any) -> Any:
    """What is no tensor, as something that is equal in both libraries."""
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.3g}")
    if isinstance(value, (bool, int, complex, type(None))):
        return value
    return re.sub("(torch|devtensor)[.]", "", re.sub(r"grad_fn=<\w+>", "grad_fn", str(value)))
