"""What reading and writing a checkpoint can fail with."""

from __future__ import annotations

import pickle

from devtensor.core.errors import ArgumentTypeError, CheckpointError


class UnpicklingError(CheckpointError, pickle.UnpicklingError):
    """A pickle that is damaged, or asks for more than data."""


class EndOfFileError(UnpicklingError, EOFError):
    """A pickle that ends before it is complete."""


class NotAFile(ArgumentTypeError, AttributeError):
    """What is given as a file is none, or cannot be read or written as one."""


class Passed(Exception):
    """Carries an error of the caller's own code, such as a class made safe, past those who explain."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error
