"""Orders of arguments from before factors became keywords, which PyTorch still takes with a warning."""

from __future__ import annotations

import warnings
from typing import Any

from devtensor.core.tensor import Tensor

NUMBERS = (int, float, complex)
# What the number in front of the other operands is called now.
FACTORS = {"add": "alpha", "sub": "alpha", "addcmul": "value", "addcdiv": "value"}
# beta * input + alpha * product: numbers stood before the tensor that they multiply.
PRODUCTS = frozenset({"addbmm", "addmm", "addmv", "addr", "baddbmm"})


def in_newer_order(name: str, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]] | None:
    """The same call with its factors as keywords; None for one that is in no older order. It warns."""
    plain = name.removesuffix("_")
    if plain in FACTORS:
        found = _with_factor(FACTORS[plain], args)
    elif plain in PRODUCTS:
        found = _with_beta_and_alpha(args)
    else:
        found = None
    if found is None:
        return None
    tensors, factors = found
    words = ", ".join(f"{key}={value}" for key, value in factors.items())
    warnings.warn(
        f"[{name}] This overload of {name} is deprecated: numbers before tensors; write the tensors first "
        f"and then {words}",
        stacklevel=3,
    )
    return tensors, {**kwargs, **factors}


def _with_factor(factor: str, args: tuple) -> tuple[tuple, dict[str, Any]] | None:
    """(input, number, other, ...) as (input, other, ..., factor=number); `other` of a sum may be a number."""
    count = 3 if factor == "alpha" else 4
    if len(args) != count or not isinstance(args[1], NUMBERS):
        return None
    return (args[0], *args[2:]), {factor: args[1]}


def _with_beta_and_alpha(args: tuple) -> tuple[tuple, dict[str, Any]] | None:
    """(beta, input, alpha, ...) of a function, (input, beta, alpha, ...) of a method; alpha may lack."""
    numbers = [value for value in args if isinstance(value, NUMBERS)]
    tensors = tuple(value for value in args if isinstance(value, Tensor))
    fits = len(tensors) == 3 and len(numbers) in (1, 2) and len(args) == 3 + len(numbers)
    if not fits or any(isinstance(value, NUMBERS) for value in args[3:]):
        return None
    return tensors, dict(zip(("beta", "alpha"), numbers, strict=False))
