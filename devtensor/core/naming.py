"""Names: of functions that other functions make, and of the library itself where an object prints it."""

from __future__ import annotations

from typing import Any

LIBRARY = "devtensor"
_spoken = [LIBRARY]


def named(function: Any, name: str, doc: str | None) -> Any:
    """The function, under a name and with a docstring of its own."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def spoken(name: str) -> str:
    """The full name that an object of the library prints, such as `devtensor.float32`."""
    return f"{_spoken[0]}.{name}"


def speak_as(library: str) -> None:
    """Let objects print another name for the library: scripts compare `str(x.dtype)` and `x.type()`."""
    _spoken[0] = library
