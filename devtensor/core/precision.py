"""Functions that autocast sees as one op though they run several, and calls that keep the dtypes they get."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from devtensor.core.state import current, switched

# Functions that are one op to autocast: name -> the policy declared.
WHOLE: dict[str, str | None] = {}


def dtypes_kept() -> switched:
    """For a block: ops run in the dtypes they get, since layers that would choose others are off."""
    return switched(layers=tuple([layer for layer in current().layers if not layer.forward_only]))


def one_op(amp: str | None = None, name: str | None = None) -> Callable[[Callable], Callable]:
    """Declare of a function what `amp=` declares of an op: its tensors are cast, then all of it runs.

    `name` is what tables of devices with lists of their own call it, by default its own. A call that writes
    into `out`, or asks for a `dtype`, keeps the dtypes it is given.
    """

    def declare(function: Callable) -> Callable:
        key = name or function.__name__
        WHOLE[key] = amp

        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            layers = current().layers
            if not layers:
                return function(*args, **kwargs)
            if kwargs.get("out") is not None or kwargs.get("dtype") is not None:
                with dtypes_kept():
                    return function(*args, **kwargs)
            used = []
            for layer in layers:
                cast = layer.whole(key, amp, args, kwargs)
                if cast is not None:
                    args, kwargs = cast
                    used.append(layer)
            if not used:
                return function(*args, **kwargs)
            with switched(layers=tuple([layer for layer in layers if layer not in used])):
                return function(*args, **kwargs)

        return called

    return declare
