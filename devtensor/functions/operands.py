"""Which operands of a function may be Python numbers: PyTorch's choice, function by function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from devtensor.core.compiled import parameters_of
from devtensor.core.errors import ArgumentTypeError
from devtensor.core.tensor import Tensor

__all__: list[str] = []

# Both operands must be tensors, of the method too.
BOTH = frozenset(
    """
    arctan2 atan2 complex dist fmax fmin gcd heaviside hypot igamma igammac isclose lcm ldexp
    logaddexp logaddexp2
    logical_and logical_or logical_xor maximum minimum nextafter polar
    """.split()  # noqa: SIM905 - a page of names reads better than a column
)
# The first must be one; the second may be a number.
FIRST = frozenset(
    """
    clamp_max clamp_min copysign eq fmod ge greater greater_equal gt le less less_equal lt max min ne
    not_equal rsub
    """.split()  # noqa: SIM905
)
# Their second argument may be a dim, and so None.
BY_DIM = frozenset({"max", "min"})
# One of the two must be.
ONE = frozenset(
    """
    bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor float_power pow remainder
    xlog1py xlogy zeta
    """.split()  # noqa: SIM905
)


def attach(namespace: dict[str, Any]) -> None:
    """Let the functions of a namespace refuse numbers where PyTorch does."""
    for names, refuse in ((BOTH, _refuse_any), (FIRST, _refuse_first), (ONE, _refuse_all)):
        for name in names & namespace.keys():
            namespace[name] = checked(name, namespace[name], refuse)


def attach_methods() -> None:
    """The same for methods whose operand must be a tensor."""
    for name in BOTH | {f"{name}_" for name in BOTH}:
        if hasattr(Tensor, name):
            setattr(Tensor, name, checked(name, getattr(Tensor, name), _refuse_any))
    for name in FIRST - BY_DIM:
        if hasattr(Tensor, name):
            setattr(Tensor, name, checked(name, getattr(Tensor, name), _refuse_first))


def checked(name: str, function: Callable, refuse: Callable[[str, tuple], None]) -> Callable:
    """The function, its first two arguments looked at before."""
    names = parameters_of(function).names[:2]

    @functools.wraps(function)
    def looked_at(*args: Any, **kwargs: Any) -> Any:
        given = args[:2] if len(args) > 1 else (*args, *(kwargs[n] for n in names if n in kwargs))
        refuse(name, given)
        return function(*args, **kwargs)

    return looked_at


def _refuse_any(name: str, given: tuple) -> None:
    for value in given:
        if not isinstance(value, Tensor):
            _fail(name, given)


def _refuse_first(name: str, given: tuple) -> None:
    if given and (not isinstance(given[0], Tensor) or (given[1:] == (None,) and name not in BY_DIM)):
        _fail(name, given)


def _refuse_all(name: str, given: tuple) -> None:
    if not any(isinstance(value, Tensor) for value in given):
        _fail(name, given)


def _fail(name: str, given: tuple) -> None:
    kinds = ", ".join(type(value).__name__ for value in given)
    raise ArgumentTypeError(
        f"[{name}] received an invalid combination of arguments - got ({kinds}); a number stands in the "
        "place of a Tensor; make one with devtensor.tensor(...)"
    )
