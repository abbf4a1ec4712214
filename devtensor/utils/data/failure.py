"""An exception that crosses from a worker to the process that uses the loader."""

from __future__ import annotations

from devtensor._utils import ExceptionWrapper
from devtensor.core.errors import ArgumentError, DevtensorError


class WorkerError(DevtensorError, RuntimeError):
    """A worker process that died, did not answer in time, or raised what cannot be raised again here."""


class RefusedData(ArgumentError, AssertionError):
    """Data that a dataset or loader cannot be made of, where PyTorch asserts that nobody tries."""


class Failure(ExceptionWrapper):
    """An exception with its traceback, in a form that can always be pickled."""

    unknown = WorkerError

    def __init__(self, error: BaseException, where: str) -> None:
        super().__init__((type(error), error, error.__traceback__), where)
