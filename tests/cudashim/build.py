"""CUDA sources built for the host by g++ under shim.h, and launched on host memory."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from devtensor_cupy.compile.arguments import packed
from devtensor_cupy.compile.registry import Entry, Source

HEADER, SHIM, RACES = (Path(__file__).with_name(name) for name in ("shim.h", "shim.cpp", "races.h"))
FLAGS = ["-std=c++17", "-O1", "-fPIC", "-ffp-contract=off", "-w"]
WATCHED = ["-fsanitize=thread"]
"""The compiler reports each access to memory to the shim; the sanitizer's own library is not linked."""
ORDERS = {"forward": 0, "reverse": 1, "shuffled": 2}
EXPORTS = r"""
extern "C" const char* launch_@name(const shim::Shape* shape, void** values) {
    return shim::launch(*shape, shim::unpacked<&@name>, values);
}
extern "C" int sizes_@name(int* sizes) { return shim::sizes_of(&@name, sizes); }
"""


class KernelError(AssertionError):
    """A kernel that could not end, or asked for what the shim does not have."""


class Shape(ctypes.Structure):
    """What shim::Shape is."""

    _fields_ = [(name, ctypes.c_int) for name in ("blocks", "threads", "order", "seed")]


def need(thing: str, lacking: str | None) -> None:
    """Go on if nothing is lacking; else skip, or fail where CI says that everything must be there."""
    if lacking is None:
        return
    import pytest

    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"CI needs {thing}: {lacking}")
    pytest.skip(f"needs {thing}: {lacking}")


def compiler_missing() -> str | None:
    """None if there is a g++, else what to do."""
    return (
        None
        if shutil.which("g++")
        else "g++ is not on the PATH; install it (Debian, Ubuntu: apt-get install g++)"
    )


@cache
def build(text: str, names: tuple[str, ...]) -> Any:
    """The shared library of a source whose kernels have these names."""
    exports = "".join(EXPORTS.replace("@name", name) for name in names)
    whole = f'#include "{HEADER}"\n#line 1 "kernels"\n{text}\n{exports}'
    kernels = compiled(whole, [*FLAGS, *WATCHED, "-c", "-x", "c++", "-"])
    return ctypes.CDLL(str(compiled("", ["-shared", "-Wl,-Bsymbolic", str(kernels), str(shim())])))


@cache
def shim() -> Path:
    """The shim itself, for all libraries."""
    return compiled("", [*FLAGS, "-c", str(SHIM)])


def compiled(text: str, options: list[str]) -> Path:
    """What g++ makes, kept; under another name first, so that processes which make the same do not meet."""
    told = "\0".join([text, *(file.read_text() for file in (HEADER, SHIM, RACES)), *options])
    folder = Path(tempfile.gettempdir()) / f"devtensor-shim-{os.getuid()}"
    path = folder / hashlib.sha256(told.encode()).hexdigest()[:32]
    if path.is_file():
        return path
    need("g++", compiler_missing())
    folder.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as drafts:
        made = Path(drafts, "made")
        command = ["g++", *options, "-o", str(made)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[:4000]
        made.replace(path)
    return path


class HostBuild:
    """A source's kernels as functions of the host."""

    def __init__(self, source: Source) -> None:
        self.library = build(source.text, tuple(source.entries))

    def argument_sizes(self, entry: Entry) -> list[int]:
        """What the compiler says of the parameters' sizes."""
        sizes = (ctypes.c_int * 64)()
        count = self.library[f"sizes_{entry.name}"](sizes)
        return list(sizes[:count])

    def launch(
        self, entry: Entry, blocks: int, values: list[Any], order: str = "forward", seed: int = 1
    ) -> None:
        """Run a kernel to its end, its threads in the given order.

        Errors: KernelError for what would hang a device, or is not defined there.
        """
        call = self.library[f"launch_{entry.name}"]
        call.restype = ctypes.c_char_p
        shape = Shape(blocks, entry.launch.threads, ORDERS[order], seed)
        arguments = packed(entry, values)
        told = call(ctypes.byref(shape), arguments.pointers)
        if told is not None:
            raise KernelError(f"[{entry.name}] {told.decode()}")
