"""MIOpen's settings, kept and given back: convolutions here are made of matrix products, without MIOpen."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

from devtensor.backends.flags import guard, held

__all__ = ["flags", "set_flags"]

immediate = False

_KINDS = {"immediate": bool}


def set_flags(_immediate: bool | None = None) -> tuple[bool]:
    """Set what is not None; returns what was."""
    before = immediate
    if _immediate is not None:
        setattr(sys.modules[__name__], "immediate", _immediate)  # noqa: B010 - the module checks what is set
    return (before,)


def flags(immediate: bool = False) -> AbstractContextManager[None]:
    """A context within which the setting is this."""
    return held(__name__, immediate=immediate)


guard(__name__)
