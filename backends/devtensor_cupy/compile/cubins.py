"""Cubins kept on disk, by source, architecture, compiler's version and options."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from devtensor_cupy.compile import nvrtc
from devtensor_cupy.compile.registry import Source

FOLDER = "DEVTENSOR_CUBIN_CACHE"
"""The environment variable that names another folder; empty: nothing is kept."""

Compile = Callable[[str, str, int, tuple[str, ...]], bytes]


def cache_folder() -> Path | None:
    """Where cubins are kept, or None."""
    chosen = os.environ.get(FOLDER)
    if chosen is not None:
        return Path(chosen) if chosen else None
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return None if base.startswith("~") else Path(base) / "devtensor" / "cubins"


def key_of(source: Source, arch: int, options: tuple[str, ...], version: tuple[int, int]) -> str:
    """A name that changes with everything that a cubin depends on."""
    told = repr((source.text, arch, options, version))
    return f"{source.name}-sm_{arch}-{hashlib.sha256(told.encode()).hexdigest()[:32]}.cubin"


def cubin(
    source: Source,
    arch: int,
    options: tuple[str, ...] = (),
    compile: Compile = nvrtc.compile_cubin,
    version: Callable[[], tuple[int, int]] = nvrtc.version,
) -> bytes:
    """The source's cubin, compiled if nobody has before; a folder that cannot be used only costs time."""
    folder = cache_folder()
    kept = None if folder is None else folder / key_of(source, arch, options, version())
    found = None if kept is None else content_of(kept)
    if found is not None:
        return found
    made = compile(source.text, source.name, arch, options)
    if kept is not None:
        keep(kept, made)
    return made


def content_of(path: Path) -> bytes | None:
    """What a file holds; None if there is none, or another user's."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def keep(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: processes that compile the same at once do not disturb each other."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)
