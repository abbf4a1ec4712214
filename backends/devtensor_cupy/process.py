"""What can go wrong between a process and the driver: forks that inherit it, and faults that come late."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

from devtensor.backend import registry
from devtensor.backend.protocol import Kernel
from devtensor.core.errors import DeviceError

FORKED = (
    "Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the "
    "'spawn' start method"
)
HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = os.path.dirname(os.path.dirname(os.path.abspath(registry.__file__)))


class Forks:
    """Whether this process was forked from one that had begun to use CUDA."""

    def __init__(self) -> None:
        self.begun = False
        self.forked = False
        self.immortal: list[Any] = []

    def begin(self, inherited: Callable[[], list[Any]]) -> None:
        """The driver is about to be used; a child will keep what `inherited` tells, and free none of it."""
        if not self.begun:
            self.begun = True
            os.register_at_fork(after_in_child=lambda: self.in_child(inherited()))

    def in_child(self, inherited: list[Any]) -> None:
        self.forked = True
        self.immortal += inherited
        registry.door.tell("cuda")


SILENT, WARNING, REFUSING = 0, 1, 2


class Waits:
    """What is said when the host has to wait for a device: nothing, a warning, or an error."""

    def __init__(self) -> None:
        self.mode = SILENT

    def hear(self, what: str) -> None:
        """The host is about to wait.

        Errors: DeviceError, if waiting is refused, that names what waits and the user's line.
        """
        if self.mode == SILENT:
            return
        told = f"[cuda] called a synchronizing CUDA operation: {what}; {user_line()}"
        if self.mode == REFUSING:
            raise DeviceError(told + "; use set_sync_debug_mode(0) to allow it")
        warnings.warn(told, stacklevel=2)

    def told_of(self, name: str, kernel: Kernel) -> Kernel:
        """The kernel, which says before that the host waits in it."""

        def waiting(*arguments: Any, **named: Any) -> Any:
            self.hear(name)
            return kernel(*arguments, **named)

        return waiting


def watched(name: str, kernel: Kernel, cupy: Any) -> Kernel:
    """The kernel, after which the host waits: a fault is told of the op that caused it."""

    def watch(*arguments: Any, **named: Any) -> Any:
        result = kernel(*arguments, **named)
        try:
            cupy.cuda.get_current_stream().synchronize()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            given = ", ".join(described(x) for x in arguments)
            raise DeviceError(
                f"[{name}] the device reports {error}; inputs {given}; {user_line()}"
            ) from error
        return result

    return watch


def described(value: Any) -> str:
    """An array by dtype and shape, lists by what is in them, anything else as it is written."""
    if isinstance(value, list):
        return f"{len(value)} x ({', '.join(dict.fromkeys(map(described, value)))})"
    return f"{value.dtype.name}{list(value.shape)}" if hasattr(value, "dtype") else repr(value)


def user_line() -> str:
    """The innermost line that is neither devtensor's nor this backend's."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((HERE, LIBRARY, "<")):
            return f'File "{file}", line {frame.f_lineno}, in {frame.f_code.co_name}'
        frame = frame.f_back
    return "no line of the user's found"
