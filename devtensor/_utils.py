"""PyTorch's private path to helpers that scripts import: tensors as one vector, exceptions as values."""

from __future__ import annotations

import pickle
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from devtensor.core.tensor import Tensor
from devtensor.functions.joining import cat

__all__: list[str] = []


def _flatten_dense_tensors(tensors: Iterable[Tensor]) -> Tensor:
    """All elements of tensors of one dtype as one vector."""
    flat: list[Any] = list(tensors)
    return cat([tensor.reshape(-1) for tensor in flat])


def _unflatten_dense_tensors(flat: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Views of a vector in the shapes of tensors, one after the other."""
    vector: Any = flat
    sizes = [tensor.shape.numel() for tensor in tensors]
    parts = vector.split(sizes)
    return tuple(part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True))


class KeyErrorMessage(str):
    """A text whose repr is itself: KeyError shows the repr of its argument."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class ExceptionWrapper:
    """An exception with its traceback as a value that can always be pickled, to be raised elsewhere.

    Without `exc_info` it is the exception that is being handled; `where` says where that was.
    """

    # What is raised if the exception's own class cannot be had.
    unknown: type[Exception] = RuntimeError

    def __init__(self, exc_info: Any = None, where: str = "in background") -> None:
        found: Any = sys.exc_info() if exc_info is None else exc_info
        kind, error, _ = found
        self.where = where
        self.exc_msg = "".join(traceback.format_exception(kind, error, error.__traceback__))
        self._name = kind.__name__
        self._kind = _pickled(kind)
        self._error = _pickled(error)

    @property
    def exc_type(self) -> Any:
        """The exception's class, or None if it cannot be had here."""
        return _unpickled(self._kind)

    @property
    def message(self) -> str:
        """What happened where, with the traceback."""
        return f"Caught {self._name} {self.where}.\nOriginal {self.exc_msg}"

    def reraise(self) -> NoReturn:
        """Raise the exception again: of its own type if that can be made, else of `unknown`."""
        raise self._rebuilt() from None

    def _rebuilt(self) -> BaseException:
        kind = self.exc_type
        if kind is None or issubclass(kind, StopIteration):
            return self.unknown(self.message)
        try:
            if getattr(kind, "message", None):
                return kind(message=self.message)
            return kind(KeyErrorMessage(self.message) if issubclass(kind, KeyError) else self.message)
        except Exception:
            # It is not made from one text: the exception itself then carries the text as a note.
            error = _unpickled(self._error)
        if error is None:
            return self.unknown(self.message)
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
