"""Casts between the half types and float32 in machine code: by their bits, the same on every processor.

Instructions that do the same exist, but not everywhere, and differ where it matters: some make subnormal
bfloat16 zero, some change the bits of a NaN.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np

from devtensor_numpy.compile.machine import Code, Unavailable, processor

# %x is the element read, %y the one to write.
BODIES = {
    "float16_up": (
        "i16",
        "i32",
        """
  %wide = zext i16 %x to i32
  %magnitude = and i32 %wide, u0x7FFF
  %top = and i32 %wide, u0x8000
  %sign = shl i32 %top, 16
  %moved = shl i32 %magnitude, 13
  %normal = add i32 %moved, u0x38000000
  %lifted = add i32 %moved, u0x70000000
  %special = icmp ugt i32 %magnitude, u0x7BFF
  %large = select i1 %special, i32 %lifted, i32 %normal
  %placed = add i32 %moved, u0x38800000
  %beside = bitcast i32 %placed to float
  %apart = fsub float %beside, 0x3F10000000000000
  %tiny = bitcast float %apart to i32
  %subnormal = icmp ult i32 %magnitude, u0x400
  %found = select i1 %subnormal, i32 %tiny, i32 %large
  %y = or i32 %found, %sign
""",
    ),
    "float16_down": (
        "i32",
        "i16",
        """
  %magnitude = and i32 %x, u0x7FFFFFFF
  %high = lshr i32 %x, 16
  %sign = and i32 %high, u0x8000
  %kept = lshr i32 %magnitude, 13
  %odd = and i32 %kept, 1
  %raised = add i32 %magnitude, u0xFFF
  %rounded = add i32 %raised, %odd
  %moved = lshr i32 %rounded, 13
  %normal = sub i32 %moved, u0x1C000
  %over = icmp ugt i32 %magnitude, u0x477FEFFF
  %bounded = select i1 %over, i32 u0x7C00, i32 %normal
  %value = bitcast i32 %magnitude to float
  %shifted = fadd float %value, 0.5
  %bits = bitcast float %shifted to i32
  %tiny = sub i32 %bits, u0x3F000000
  %subnormal = icmp ult i32 %magnitude, u0x38800000
  %finite = select i1 %subnormal, i32 %tiny, i32 %bounded
  %payload = and i32 %kept, u0x3FF
  %none = icmp eq i32 %payload, 0
  %some = select i1 %none, i32 1, i32 %payload
  %quiet = or i32 %some, u0x7C00
  %nan = icmp ugt i32 %magnitude, u0x7F800000
  %found = select i1 %nan, i32 %quiet, i32 %finite
  %signed = or i32 %found, %sign
  %y = trunc i32 %signed to i16
""",
    ),
    "bfloat16_up": (
        "i16",
        "i32",
        """
  %wide = zext i16 %x to i32
  %y = shl i32 %wide, 16
""",
    ),
    "bfloat16_down": (
        "i32",
        "i16",
        """
  %magnitude = and i32 %x, u0x7FFFFFFF
  %kept = lshr i32 %x, 16
  %odd = and i32 %kept, 1
  %raised = add i32 %x, u0x7FFF
  %rounded = add i32 %raised, %odd
  %finite = lshr i32 %rounded, 16
  %sign = and i32 %kept, u0x8000
  %quiet = or i32 %sign, u0x7FC0
  %nan = icmp ugt i32 %magnitude, u0x7F800000
  %found = select i1 %nan, i32 %quiet, i32 %finite
  %y = trunc i32 %found to i16
""",
    ),
}
LOOP = """
define void @{name}(ptr noalias nocapture readonly %source, ptr noalias nocapture %target, i64 %count) \
nounwind "prefer-vector-width"="512" {{
before:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %each, label %after
each:
  %i = phi i64 [ 0, %before ], [ %next, %each ]
  %from = getelementptr inbounds {read}, ptr %source, i64 %i
  %x = load {read}, ptr %from
{body}
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


def text() -> str:
    """The casts as LLVM reads them."""
    return "".join(
        LOOP.format(name=name, read=read, written=written, body=body)
        for name, (read, written, body) in BODIES.items()
    )


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
            made = Code("casts", text()).functions(dict.fromkeys(BODIES, TYPE))
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
