"""Loaded modules: a cubin here is its source, built by g++ under tests/cudashim, with races watched."""

from __future__ import annotations

import ctypes
import itertools
import re
import shutil
from typing import Any

from cupy._machine import alive, current, launch
from cupy.cuda._streams import get_current_stream

ENTRY = re.compile(r'extern "C" __global__ void (\w+)\(')
entries: dict[int, Entry] = {}
"""Every kernel by its handle."""
handles = itertools.count(1 << 16, 8)


class Entry:
    """A kernel of a loaded module."""

    def __init__(self, name: str, library: Any, module: Module) -> None:
        self.name, self.library, self.module = name, library, module
        self.ptr = next(handles)
        entries[self.ptr] = self

    def run(self, blocks: int, threads: int, values: int) -> None:
        """Run it to its end, its threads one after the other as far as barriers allow.

        Errors: KernelError for races, and for what would hang a device.
        """
        from cudashim.build import KernelError, Shape

        call = self.library[f"launch_{self.name}"]
        call.restype = ctypes.c_char_p
        told = call(ctypes.byref(Shape(blocks, threads, 0, 1)), ctypes.c_void_p(values))
        if told is not None:
            raise KernelError(f"[{self.name}] {told.decode()}")


class Module:
    """A cubin on the current device."""

    def __init__(self) -> None:
        self.ptr = 0
        self.library: Any = None

    def load(self, cubin: bytes) -> None:
        from cudashim.build import build

        alive()
        if shutil.which("g++") is None:
            raise RuntimeError("the stand-in builds CUDA sources with g++, which is not on the PATH")
        current.bind()
        text = cubin.decode()
        self.library = build(text, tuple(ENTRY.findall(text)))
        self.ptr = next(handles)

    def get_function(self, name: str) -> Entry:
        return Entry(name, self.library, self)


Function = Entry


def launched_on(stream: int) -> None:
    """Work begins on a stream, named by its address, which must be the current one: others are not known."""
    now = get_current_stream()
    if now.ptr != stream:
        raise RuntimeError(f"the stand-in launches on the current stream {now.ptr}, not on {stream}")
    launch(now.queue)
