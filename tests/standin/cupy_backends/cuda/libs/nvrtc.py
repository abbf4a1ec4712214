"""NVRTC's part: a source is its own cubin, which g++ builds when the module is loaded."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

ARCHITECTURES = 75, 80, 86, 90
programs: dict[int, str] = {}
numbers = itertools.count(1)


class NVRTCError(RuntimeError):
    """What NVRTC reports."""


def getVersion() -> tuple[int, int]:
    """A version that no NVRTC has, so that no kept cubin is taken for the stand-in's."""
    return 0, 0


def getSupportedArchs() -> tuple[int, ...]:
    return ARCHITECTURES


def createProgram(src: str, name: str, headers: Sequence[str], include_names: Sequence[str]) -> int:
    prog = next(numbers)
    programs[prog] = src
    return prog


def compileProgram(prog: int, options: Sequence[str]) -> None:
    """A source with an #error in it does not compile; for all others that shows when they are loaded."""
    if "#error" in programs[prog]:
        raise NVRTCError("NVRTC_ERROR_COMPILATION (6)")


def getProgramLog(prog: int) -> str:
    return f"{len(programs[prog])} characters were looked at"


def getCUBIN(prog: int) -> bytes:
    return programs[prog].encode()


def destroyProgram(prog: int) -> None:
    del programs[prog]
