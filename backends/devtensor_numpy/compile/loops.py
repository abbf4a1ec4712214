"""Arithmetic on half types in one loop of machine code each: raised, computed in float32, rounded, stored."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

from devtensor_numpy.compile.casts import casts
from devtensor_numpy.compile.conversions import conversions
from devtensor_numpy.compile.machine import Code, processor

LETTERS = "abcd"
# Name -> LLVM's text from the floats %a, %b and on to the float %y.
ARITHMETIC = {
    "add": "%y = fadd float %a, %b",
    "sub": "%y = fsub float %a, %b",
    "mul": "%y = fmul float %a, %b",
    "div": "%y = fdiv float %a, %b",
    "square": "%y = fmul float %a, %a",
    "sqrt": "%y = call float @llvm.sqrt.f32(float %a)",
    "reciprocal": "%y = fdiv float 1.0, %a",
    "maximum": """%above = fcmp oge float %a, %b
  %nan = fcmp uno float %a, %a
  %taken = or i1 %above, %nan
  %y = select i1 %taken, float %a, float %b""",
    "minimum": """%below = fcmp ole float %a, %b
  %nan = fcmp uno float %a, %a
  %taken = or i1 %below, %nan
  %y = select i1 %taken, float %a, float %b""",
    "add_scaled": """%part = fmul float %b, %c
  %y = fadd float %a, %part""",
    "sub_scaled": """%part = fmul float %b, %c
  %y = fsub float %a, %part""",
    "addcmul": """%part = fmul float %b, %d
  %product = fmul float %part, %c
  %y = fadd float %a, %product""",
    "addcdiv": """%part = fmul float %b, %d
  %quotient = fdiv float %part, %c
  %y = fadd float %a, %quotient""",
    "lerp": """%way = fsub float %b, %a
  %size = call float @llvm.fabs.f32(float %c)
  %near = fcmp olt float %size, 0.5
  %step = fmul float %way, %c
  %there = fadd float %a, %step
  %rest = fsub float 1.0, %c
  %back = fmul float %way, %rest
  %from = fsub float %b, %back
  %y = select i1 %near, float %there, float %from""",
}
COMPARING = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}
LINE, NUMBER = "l", "n"
"""How an input comes, a letter each: halves as many as results, or one float32."""
LOOP = """
declare float @llvm.sqrt.f32(float)
declare float @llvm.fabs.f32(float)
define void @run({parameters}, ptr %target, i64 %count) nounwind "prefer-vector-width"="512" {{
before:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %each, label %after
each:
  %i = phi i64 [ 0, %before ], [ %next, %each ]
{inputs}
  {body}
{output}
  %to = getelementptr inbounds {written}, ptr %target, i64 %i
  store {written} %result, ptr %to, !llvm.access.group !0
  %next = add nuw nsw i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %each, label %after, !llvm.loop !1
after:
  ret void
}}
!0 = distinct !{{}}
!1 = distinct !{{!1, !2}}
!2 = !{{!"llvm.loop.parallel_accesses", !0}}
"""
INPUT = """  %from_{it} = getelementptr inbounds i16, ptr %line_{it}, i64 %i
  %half_{it} = load i16, ptr %from_{it}, !llvm.access.group !0
  %bits_{it} = call i32 @{half}_up(i16 %half_{it})
  %{it} = bitcast i32 %bits_{it} to float"""
ROUNDED = """  %bits = bitcast float %y to i32
  %result = call i16 @{half}_down(i32 %bits)"""
TRUTH = "  %result = zext i1 %y to i8"


def text(name: str, half: str, form: str, features: str) -> str:
    """The loop of an op, as LLVM reads it; what it writes may be one of the lines it reads."""
    compares = name in COMPARING
    placed = list(zip(form, LETTERS, strict=False))
    loop = LOOP.format(
        parameters=", ".join(f"ptr %line_{it}" if how == LINE else f"float %{it}" for how, it in placed),
        inputs="\n".join(INPUT.format(it=it, half=half) for how, it in placed if how == LINE),
        body=f"%y = fcmp {COMPARING[name]} float %a, %b" if compares else ARITHMETIC[name],
        output=TRUTH if compares else ROUNDED.format(half=half),
        written="i8" if compares else "i16",
    )
    return conversions(features) + loop


class Loops:
    """Loops, each made at first use: none where there is no machine code for casts."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str, str], Any] = {}
        self._lock = threading.Lock()

    def function(self, name: str, half: str, form: str) -> Any:
        """`function(*inputs, target, count)` of addresses of lines and of numbers; None if there is none."""
        if not casts.functions():
            return None
        key = name, half, form
        try:
            return self._made[key]
        except KeyError:
            with self._lock:
                if key not in self._made:
                    self._made[key] = compiled(*key)
            return self._made[key]


def compiled(name: str, half: str, form: str) -> Any:
    """The function; None where compiling fails, which must not stop a program that runs without it."""
    inputs = [ctypes.c_void_p if how == LINE else ctypes.c_float for how in form]
    type = ctypes.CFUNCTYPE(None, *inputs, ctypes.c_void_p, ctypes.c_int64)
    try:
        code = Code(f"{name}-{half}-{form}", text(name, half, form, processor().features))
        return code.functions({"run": type})["run"]
    except Exception:
        return None


loops = Loops()
