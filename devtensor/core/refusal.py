"""Names that PyTorch has and devtensor refuses: they can be imported, and say why when they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from devtensor.core.errors import Unsupported
from devtensor.core.naming import named


def refuse(name: str, reason: str) -> NoReturn:
    """Raise Unsupported for what a user called by `name`; `reason` says why, and what to do instead."""
    raise Unsupported(f"[{name}] {reason}")


def refused(name: str, reason: str) -> Callable[..., Any]:
    """A function that says why devtensor does not have it."""

    def refusing(*args: Any, **kwargs: Any) -> NoReturn:
        refuse(name, reason)

    return named(refusing, name.rpartition(".")[2], f"Refused: {reason}.")


def refused_class(name: str, reason: str, base: type = object) -> type:
    """A class that may be named and inherited from, and says why it cannot be made."""

    def refusing(self: Any, *args: Any, **kwargs: Any) -> None:
        refuse(name, reason)

    members = {"__init__": refusing, "__doc__": f"Refused: {reason}.", "__module__": "devtensor"}
    return type(name.rpartition(".")[2], (base,), members)
