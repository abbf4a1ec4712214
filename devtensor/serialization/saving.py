"""save: a state into a file that PyTorch reads, without PyTorch."""

from __future__ import annotations

import io
import os
import pickle
import struct
from functools import partial
from pathlib import Path
from typing import Any

from devtensor.serialization.errors import NotAFile
from devtensor.serialization.files import is_path, replacing
from devtensor.serialization.legacy import MAGIC_NUMBER, PROTOCOL_VERSION, SYSTEM
from devtensor.serialization.options import get_crc32_options
from devtensor.serialization.pickling import PROTOCOL, TorchPickler
from devtensor.serialization.storing import StorageTable, Stored
from devtensor.serialization.zip_writing import ALIGNMENT, ZipWriter

__all__ = ["DEFAULT_PROTOCOL", "save"]

DEFAULT_PROTOCOL = PROTOCOL


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write an object to a path or a binary file, as PyTorch's `torch.save` does; PyTorch reads it.

    Tensors that share memory go on sharing it, and the whole of a storage is written for a view. A file at a
    path appears when it is complete: a failure leaves the old one as it was. The pickle is always of protocol
    2, the one that PyTorch reads; `pickle_module` is accepted and not used.

    Errors: NotAFile if `f` cannot be written to; CheckpointError if tensors of different dtypes see the
    same memory; pickle.PicklingError for what cannot be pickled; OSError if the disk refuses.
    Example: `save({"model": model.state_dict(), "epoch": 3}, "run.pt")`.
    """
    write_zip = partial(_write_zip, with_order=not _disable_byteorder_record)
    write = write_zip if _use_new_zipfile_serialization else _write_legacy
    if is_path(f):
        with replacing(f) as file:
            write(obj, file, _stem(f))
        return
    if isinstance(f, io.TextIOBase):
        raise NotAFile("[save] the file is opened as text; open it with mode 'wb'")
    if not callable(getattr(f, "write", None)):
        raise NotAFile(
            f"[save] expected 'f' to be string, path, or a file-like object with a 'write' attribute; got "
            f"{type(f).__name__}"
        )
    write(obj, _Patient(f), "archive")
    if hasattr(f, "flush"):
        f.flush()


class _Patient:
    """A file that may take less than it is given at a time, as unbuffered ones do."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, data: bytes | memoryview) -> None:
        """Write all of it."""
        rest = memoryview(data)
        while len(rest):
            taken = self.file.write(rest)
            if not isinstance(taken, int) or taken >= len(rest):
                return
            rest = rest[taken:]


def _stem(path: str | os.PathLike[str]) -> str:
    """The folder inside the zip file: the file's own name, as in PyTorch, where it can be one."""
    stem = Path(os.fspath(path)).name.rpartition(".")[0] or Path(os.fspath(path)).name
    return stem if stem.isascii() and stem.strip(".") and "\\" not in stem else "archive"


def _pickled(obj: Any, table: StorageTable, trailing: tuple = ()) -> bytes:
    buffer = io.BytesIO()

    def named(stored: Stored) -> tuple:
        return ("storage", stored.type, stored.key, stored.location, stored.count, *trailing)

    TorchPickler(buffer, table, named).dump(obj)
    return buffer.getvalue()


def _write_zip(obj: Any, file: Any, folder: str, with_order: bool) -> None:
    table = StorageTable()
    content = _pickled(obj, table)
    archive = ZipWriter(file.write, folder, get_crc32_options())
    archive.write("data.pkl", content)
    archive.write(".format_version", b"1")
    archive.write(".storage_alignment", b"%d" % ALIGNMENT)
    if with_order:
        archive.write("byteorder", b"little")
    for stored, data, skipped in table.records():
        archive.write(f"data/{stored.key}", data, skipped)
    archive.close()


def _write_legacy(obj: Any, file: Any, folder: str) -> None:
    """The format from before PyTorch 1.6: pickles one after another, then the storages in order of keys."""
    table = StorageTable()
    for header in (MAGIC_NUMBER, PROTOCOL_VERSION, SYSTEM):
        file.write(_pickled(header, table))
    file.write(_pickled(obj, table, trailing=(None,)))
    records = {stored.key: (stored, data, skipped) for stored, data, skipped in table.records()}
    file.write(_pickled(sorted(records), table))
    for key in sorted(records):
        stored, data, skipped = records[key]
        file.write(struct.pack("<q", stored.count))
        file.write(bytes(skipped) if skipped else data)
