"""Casts between the half types and float32 in machine code."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np

from devtensor_numpy.compile.conversions import NAMES, TYPES, conversions
from devtensor_numpy.compile.machine import Code, Unavailable, processor

LOOP = """
define void @cast_{name}(ptr noalias nocapture readonly %source, ptr noalias nocapture %target, i64 %count) \
nounwind "prefer-vector-width"="512" {{
before:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %each, label %after
each:
  %i = phi i64 [ 0, %before ], [ %next, %each ]
  %from = getelementptr inbounds {read}, ptr %source, i64 %i
  %x = load {read}, ptr %from
  %y = call {written} @{name}({read} %x)
  %to = getelementptr inbounds {written}, ptr %target, i64 %i
  store {written} %y, ptr %to
  %next = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %each, label %after
after:
  ret void
}}
"""
TYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
"""Addresses of the first element read and of the first written, and a count; the two must not overlap."""
HARD = np.array(
    [0, -0.0, 1, -1, 1 / 3, 65504, 65519.9, 65520, 1e30, 6e-8, 2.98e-8, 2.99e-8, -6.1e-5, np.inf, -np.inf],
    np.float32,
)


def text(features: str) -> str:
    """The casts as LLVM reads them, for a processor with these features."""
    loops = [
        LOOP.format(name=name, read=read, written=written)
        for name in NAMES
        for read, written in [TYPES[name.split("_")[1]]]
    ]
    return conversions(features) + "".join(loops)


def compiled(features: str) -> dict[str, Any]:
    """Name -> function."""
    found = Code("casts", text(features)).functions({f"cast_{name}": TYPE for name in NAMES})
    return {name: found[f"cast_{name}"] for name in NAMES}


class Casts:
    """The four casts, made at first use; `state` says which code they are or why there are none."""

    def __init__(self) -> None:
        self.state = ""
        self.found: dict[str, Any] | None = None
        self._lock = threading.Lock()

    def functions(self) -> dict[str, Any]:
        """Name -> function; empty where no machine code can be made."""
        if self.found is None:
            with self._lock:
                if self.found is None:
                    self.found = self._made()
        return self.found

    def describe(self) -> str:
        """Which processor they are made for, or why there are none."""
        self.functions()
        return self.state

    @contextmanager
    def off(self) -> Iterator[None]:
        """Without them, inside: NumPy casts."""
        made = self.functions()
        self.found = {}
        try:
            yield
        finally:
            self.found = made

    def _made(self) -> dict[str, Any]:
        try:
            made = compiled(processor().features)
            check(made)
        except Unavailable as reason:
            self.state = str(reason)
            return {}
        except Exception as error:
            # A compiler that fails must not stop a program that runs without it.
            self.state = f"failed: {type(error).__name__}: {error}"
            return {}
        cpu = processor()
        self.state = f"llvmlite for {cpu.name}"
        return made


def check(functions: dict[str, Any]) -> None:
    """Compare a few hard values with NumPy's casts.

    Errors: Unavailable if any differs.
    """
    for name, half in (("float16", np.dtype(np.float16)), ("bfloat16", np.dtype(ml_dtypes.bfloat16))):
        with np.errstate(all="ignore"):
            expected = HARD.astype(half)
        narrow, wide = np.empty_like(expected), np.empty_like(HARD)
        functions[f"{name}_down"](HARD.ctypes.data, narrow.ctypes.data, HARD.size)
        functions[f"{name}_up"](expected.ctypes.data, wide.ctypes.data, HARD.size)
        right = narrow.tobytes() == expected.tobytes()
        if not right or wide.tobytes() != expected.astype(np.float32).tobytes():
            raise Unavailable(f"casts of {name} in machine code do not agree with NumPy's")


casts = Casts()
