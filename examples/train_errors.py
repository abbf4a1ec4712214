"""The one error type of the main job."""

from __future__ import annotations


class JobError(Exception):
    """A problem that the person at the command line can solve; shown as one message, without a traceback."""
