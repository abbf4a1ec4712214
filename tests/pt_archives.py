"""Checkpoints with records of other bytes than they were written with."""

from __future__ import annotations

import io
import zipfile

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
