"""NVRTC as CuPy finds and calls it: where CuPy runs, it is there."""

from __future__ import annotations

from cupy_backends.cuda.libs import nvrtc as library  # pyright: ignore[reportAttributeAccessIssue]

from devtensor_cupy.compile.nvrtc import CompileError


def version() -> tuple[int, int]:
    """NVRTC's version, major and minor."""
    major, minor = library.getVersion()
    return major, minor


def architectures() -> tuple[int, ...]:
    """The compute capabilities that NVRTC knows."""
    return tuple(library.getSupportedArchs())


def compile_cubin(text: str, name: str, arch: int, options: tuple[str, ...] = ()) -> bytes:
    """A source's cubin for the compute capability `arch`, such as 80.

    Errors: CompileError with the compiler's messages.
    """
    program = library.createProgram(text, f"{name}.cu", (), ())
    try:
        library.compileProgram(program, (f"--gpu-architecture=sm_{arch}", "--std=c++17", *options))
        return library.getCUBIN(program)
    except library.NVRTCError as error:
        log = library.getProgramLog(program)
        raise CompileError(f"[nvrtc] {name} does not compile for sm_{arch}: {error}\n{log}") from error
    finally:
        library.destroyProgram(program)
