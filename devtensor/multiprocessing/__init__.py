"""The standard library's multiprocessing with PyTorch's additions: both sides see a tensor that is sent.

`spawn` starts a function in several processes and passes their errors on.
"""

# ruff: noqa: F403 - the names are the standard library's own

from __future__ import annotations

import multiprocessing
from multiprocessing import *  # pyright: ignore[reportWildcardImportFromLibrary]

from devtensor.core.errors import SettingError
from devtensor.multiprocessing.reductions import init_reductions
from devtensor.multiprocessing.spawn import (
    ProcessContext,
    ProcessException,
    ProcessExitedException,
    ProcessRaisedException,
    SpawnContext,
    spawn,
    start_processes,
)

__all__ = [
    "ProcessContext",
    "ProcessException",
    "ProcessExitedException",
    "ProcessRaisedException",
    "SpawnContext",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]
__all__ += multiprocessing.__all__  # type: ignore[attr-defined]

init_reductions()
_strategy = ["file_descriptor"]


class UnknownStrategy(SettingError, AssertionError):
    """A name that no way of sharing has."""


def get_all_sharing_strategies() -> set[str]:
    """Names that `set_sharing_strategy` takes."""
    return {"file_descriptor", "file_system"}


def get_sharing_strategy() -> str:
    """What `set_sharing_strategy` was told."""
    return _strategy[0]


def set_sharing_strategy(new_strategy: str) -> None:
    """Kept and given back; tensors go by file descriptors.

    Errors: UnknownStrategy for an unknown name.
    """
    known = get_all_sharing_strategies()
    if new_strategy not in known:
        raise UnknownStrategy(f"invalid sharing strategy {new_strategy!r}, expected one of {sorted(known)}")
    _strategy[0] = new_strategy
