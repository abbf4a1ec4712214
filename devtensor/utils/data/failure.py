"""An exception that crosses from a worker to the process that uses the loader."""

from __future__ import annotations

import pickle
import traceback
from typing import Any, NoReturn

from devtensor.core.errors import DevtensorError


class WorkerError(DevtensorError, RuntimeError):
    """A worker process that died, did not answer in time, or raised what cannot be raised again here."""


class Verbatim(str):
    """A text whose repr is itself: KeyError shows the repr of its argument."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Failure:
    """An exception with its traceback, in a form that can always be pickled."""

    def __init__(self, error: BaseException, where: str) -> None:
        shown = "".join(traceback.format_exception(error))
        self.message = f"Caught {type(error).__name__} {where}.\nOriginal {shown}"
        self._kind = _pickled(type(error))
        self._error = _pickled(error)

    def reraise(self) -> NoReturn:
        """Raise the exception again: of its own type if that can be made, else a WorkerError."""
        raise self._rebuilt() from None

    def _rebuilt(self) -> BaseException:
        kind = _unpickled(self._kind)
        if kind is None or issubclass(kind, StopIteration):
            return WorkerError(self.message)
        try:
            return kind(Verbatim(self.message) if issubclass(kind, KeyError) else self.message)
        except Exception:
            # It is not made from one text: the exception itself then carries the text as a note.
            error = _unpickled(self._error)
        if error is None:
            return WorkerError(self.message)
        error.add_note(self.message)
        return error


def _pickled(value: Any) -> bytes | None:
    try:
        data = pickle.dumps(value)
        pickle.loads(data)
    except Exception:
        return None
    return data


def _unpickled(data: bytes | None) -> Any:
    try:
        return None if data is None else pickle.loads(data)
    except Exception:
        return None
