"""NVIDIA's run-time compiler through ctypes: CUDA C++ in, cubin out; no driver and no device needed."""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

FILES = "nvidia/cuda_nvrtc/lib/libnvrtc.so.1[2-9]", "nvidia/cu1[3-9]/lib/libnvrtc.so.1[3-9]"
"""Where NVIDIA's packages put it under a folder of sys.path."""
HOW_TO_GET = "pip install nvidia-cuda-nvrtc-cu12"


class CompileError(RuntimeError):
    """A source that NVRTC refuses, or no NVRTC."""


def candidates() -> Iterator[str]:
    """Where NVRTC may be: in NVIDIA's packages, then where the system looks."""
    for folder in sys.path:
        for pattern in FILES:
            yield from (str(found) for found in sorted(Path(folder or ".").glob(pattern), reverse=True))
    named = ctypes.util.find_library("nvrtc")
    yield from [named] if named else []


@cache
def library() -> Any:
    """The loaded NVRTC.

    Errors: CompileError if there is none.
    """
    for name in candidates():
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise CompileError(f"[nvrtc] libnvrtc was not found on sys.path nor by the system; {HOW_TO_GET}")


def missing() -> str | None:
    """None if there is an NVRTC, else why not."""
    try:
        library()
    except CompileError as error:
        return str(error)
    return None


@cache
def version() -> tuple[int, int]:
    """NVRTC's version, major and minor."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    expect(library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)), "nvrtcVersion")
    return major.value, minor.value


@cache
def architectures() -> tuple[int, ...]:
    """The compute capabilities that NVRTC knows."""
    count = ctypes.c_int()
    expect(library().nvrtcGetNumSupportedArchs(ctypes.byref(count)), "nvrtcGetNumSupportedArchs")
    known = (ctypes.c_int * count.value)()
    expect(library().nvrtcGetSupportedArchs(known), "nvrtcGetSupportedArchs")
    return tuple(known)


def architecture_for(device: int, compiler: Any = None) -> int:
    """What to compile for a device of this compute capability: the newest of its generation that NVRTC knows.

    `compiler` has `architectures` and `version` as this module, which is asked where none is named.

    Errors: CompileError if NVRTC knows none that such a device runs.
    """
    asked = compiler or sys.modules[__name__]
    fitting = [known for known in asked.architectures() if known // 10 == device // 10 and known <= device]
    if not fitting:
        told = ", ".join(f"sm_{known}" for known in asked.architectures())
        raise CompileError(
            f"[nvrtc] NVRTC {asked.version()} knows {told}; the device needs sm_{device}; {HOW_TO_GET}"
        )
    return max(fitting)


def expect(result: int, call: str) -> None:
    """Nothing if NVRTC's call went well.

    Errors: CompileError naming the call and what NVRTC says of it.
    """
    if result:
        tell = library().nvrtcGetErrorString
        tell.restype = ctypes.c_char_p
        raise CompileError(f"[nvrtc] {call} failed: {tell(result).decode()}")


def compile_cubin(text: str, name: str, arch: int, options: tuple[str, ...] = ()) -> bytes:
    """The cubin of a source for devices of compute capability `arch`, such as 80.

    Errors: CompileError with the compiler's messages.
    """
    program = ctypes.c_void_p()
    create = library().nvrtcCreateProgram
    expect(create(ctypes.byref(program), text.encode(), f"{name}.cu".encode(), 0, None, None), "create")
    try:
        given = [f"--gpu-architecture=sm_{arch}".encode(), b"--std=c++17", *(o.encode() for o in options)]
        failed = library().nvrtcCompileProgram(program, len(given), (ctypes.c_char_p * len(given))(*given))
        if failed:
            log = told(program, "ProgramLog").rstrip(b"\0").decode().strip()
            raise CompileError(f"[nvrtc] {name} does not compile for sm_{arch}:\n{log}")
        return told(program, "CUBIN")
    finally:
        library().nvrtcDestroyProgram(ctypes.byref(program))


def told(program: ctypes.c_void_p, what: str) -> bytes:
    """What NVRTC has to give of a program: its log or its cubin."""
    size = ctypes.c_size_t()
    expect(getattr(library(), f"nvrtcGet{what}Size")(program, ctypes.byref(size)), what)
    room = ctypes.create_string_buffer(size.value)
    expect(getattr(library(), f"nvrtcGet{what}")(program, room), what)
    return room.raw
