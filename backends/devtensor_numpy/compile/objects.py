"""Object code kept on disk, so that it is compiled once on a machine and not once in a process."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

FOLDER = "DEVTENSOR_OBJECT_CACHE"
"""The environment variable that names another folder; empty: nothing is kept."""
DIGEST = hashlib.sha256().digest_size


def cache_folder() -> Path | None:
    """Where object code is kept, or None."""
    chosen = os.environ.get(FOLDER)
    if chosen is not None:
        return Path(chosen) if chosen else None
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(base) / "devtensor" / "objects"


def path_of(name: str, *depends: object) -> Path | None:
    """The file of the object code that depends on all that is given; None if none is to be kept."""
    folder = cache_folder()
    if folder is None:
        return None
    return folder / f"{name}-{hashlib.sha256(repr(depends).encode()).hexdigest()[:32]}.o"


def kept(path: Path | None) -> bytes | None:
    """What was kept in the file; None if nothing was, if it is not whole, or if others may write there."""
    if path is None:
        return None
    try:
        if not ours(path.parent) or not ours(path):
            return None
        content = path.read_bytes()
    except OSError:
        return None
    digest, code = content[:DIGEST], content[DIGEST:]
    return code if code and hashlib.sha256(code).digest() == digest else None


def ours(path: Path) -> bool:
    """Whether this user alone can write the file or folder: what it holds will be run."""
    if not hasattr(os, "getuid"):
        return True
    found = path.stat()
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def keep(path: Path | None, code: bytes) -> None:
    """Write the file whole or not at all; a folder that cannot be written only costs time."""
    if path is None:
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            os.replace(name, path)
        except OSError:
            os.unlink(name)
    except OSError:
        return
