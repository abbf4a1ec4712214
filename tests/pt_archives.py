"""Checkpoints saved and loaded again, and with records of other bytes than they were written with."""

from __future__ import annotations

import io
import zipfile

import devtensor
from devtensor.serialization import zip_writing


def rewritten(content: bytes, changes: dict[str, bytes | None]) -> bytes:
    """The same archive with some records replaced, or left out where the change is None."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        writer = zip_writing.ZipWriter(result.write, "archive")
        for name in archive.namelist():
            short = name.partition("/")[2]
            if short in ("version", ".data/serialization_id"):
                continue
            data = changes.get(short, archive.read(name))
            if data is not None:
                writer.write(short, data)
        writer.close()
    return result.getvalue()


# Whether the zip format is written, or the one from before it.
FORMATS = [True, False]


def again(state, zipped=True, **arguments):
    """What comes back of a state that is saved and loaded."""
    buffer = io.BytesIO()
    devtensor.save(state, buffer, _use_new_zipfile_serialization=zipped)
    buffer.seek(0)
    return devtensor.load(buffer, **arguments)
