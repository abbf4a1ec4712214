"""Which lines of the user's code led here."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def user_line() -> str:
    """Where in the user's code we are: the innermost frame outside the package."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((PACKAGE, "<")):
            return f'  File "{file}", line {frame.f_lineno}, in {frame.f_code.co_name}'
        frame = frame.f_back
    return "  (no line of the user's found)"


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn of the user's line that led here, however many of the package's own lie between."""
    level = 2
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((PACKAGE, "<entry")):
        level += 1
        frame = frame.f_back
    warnings.warn(text, category, stacklevel=level)


def user_lines() -> list[str]:
    """The lines that led here, the outermost first, without this package's own."""
    import traceback  # slow to load, and few programs ask

    frames = traceback.StackSummary.extract(traceback.walk_stack(sys._getframe(1)))
    frames.reverse()
    outside = [frame for frame in frames if not frame.filename.startswith((PACKAGE, "<entry"))]
    return traceback.format_list(outside or frames)
