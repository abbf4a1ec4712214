"""CuPy's kernels without flushing: it compiles them so that subnormal float32 numbers count as zero.

Then sqrt(1e-40) would be 0 where PyTorch and the CPU give 1e-20, and 1e-40 would equal 0. The option is left
out for all kernels that the process compiles from here on; CuPy keeps them on disk apart from others, since
options are part of the key.
"""

from __future__ import annotations

from typing import Any

import cupy

FLUSH = "-ftz=true"
COMPILE = "_compile_with_cache_cuda"
"""The function of `cupy.cuda.compiler` that adds the option (CuPy 12 to 14)."""


class Options(tuple[str, ...]):
    """Options of the compiler to which flushing cannot be added."""

    __slots__ = ()

    def __add__(self, more: Any) -> Options:
        return Options((*self, *(option for option in more if option != FLUSH)))


def kept() -> bool:
    """Have subnormal numbers kept; False where this CuPy compiles in a way that is not known here."""
    compiler = getattr(cupy.cuda, "compiler", None)
    plain = getattr(compiler, COMPILE, None)
    if plain is None:
        return False
    if not hasattr(plain, "keeps_subnormals"):

        def compile_unflushed(source: Any, options: Any, *arguments: Any, **named: Any) -> Any:
            return plain(source, Options(options), *arguments, **named)

        compile_unflushed.keeps_subnormals = True  # type: ignore[attr-defined]
        setattr(compiler, COMPILE, compile_unflushed)
    return True
