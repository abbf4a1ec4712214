"""A pytest plugin that writes into the file LINES_RUN which lines of the folder LINES_OF ran."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import defaultdict
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

FOLDER = os.environ["LINES_OF"] + os.sep
ran: dict[str, set[int]] = defaultdict(set)


def in_folder(frame: FrameType, event: str, argument: Any) -> Any:
    """Follow the lines of a call if its code is in the folder."""
    file = frame.f_code.co_filename
    if not file.startswith(FOLDER):
        return None
    lines = ran[file]
    lines.add(frame.f_lineno)

    def line(frame: FrameType, event: str, argument: Any) -> Any:
        lines.add(frame.f_lineno)
        return line

    return line


def lines_of(code: CodeType) -> set[int]:
    """The lines that can run, of a code object and those within it."""
    found = {line for _, _, line in code.co_lines() if line}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= lines_of(constant)
    return found


def pytest_sessionfinish() -> None:
    """Write for each file which lines ran, and which could."""
    sys.settrace(None)
    told = {}
    for path in sorted(Path(FOLDER).glob("*.py")):
        can = lines_of(compile(path.read_text(), str(path), "exec"))
        told[path.name] = {"ran": sorted(ran[str(path)] & can), "can": sorted(can)}
    Path(os.environ["LINES_RUN"]).write_text(json.dumps(told))


threading.settrace(in_folder)
sys.settrace(in_folder)
