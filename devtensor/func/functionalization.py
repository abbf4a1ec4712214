"""Functions without writes to what they were given, as which every function is recorded here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import AutogradError

REMOVED = ("mutations", "mutations_and_views")


def functionalize(func: Callable, *, remove: str = "mutations") -> Callable:
    """The function itself: a capture writes down in-place ops and views as functions of their base anyhow.

    Errors: AutogradError unless `remove` is "mutations" or "mutations_and_views".
    """
    if remove not in REMOVED:
        raise AutogradError(f"[functionalize] remove is {remove!r}; Valid options are: {', '.join(REMOVED)}")

    @functools.wraps(func)
    def functional(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return functional
