"""How CuPy compiles its functions: the options alone, of which one says what subnormal numbers are."""

from __future__ import annotations

from typing import Any


def _compile_with_cache_cuda(source: Any, options: Any) -> Any:
    """What the compiler is given in the end (cuda/compiler.py)."""
    options += ("-ftz=true",)
    return options


def options_of(source: Any) -> Any:
    """The options with which a function is compiled."""
    return _compile_with_cache_cuda(source, ())
