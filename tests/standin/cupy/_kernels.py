"""User-written kernels: elementwise bodies are built by g++ and run here; others are refused by name."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from cupy._arrays import launched, unwrapped

C_TYPES = {
    "int8": "signed char", "uint8": "unsigned char", "int16": "short", "uint16": "unsigned short",
    "int32": "int", "uint32": "unsigned int", "int64": "long long", "uint64": "unsigned long long",
    "float32": "float", "float64": "double", "bool": "bool",
}  # fmt: skip

PROLOGUE = """
typedef unsigned __int128 wide;
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)(((wide)a * b) >> 64);
}
"""


class Parameter:
    """One parameter of an elementwise kernel: raw ones are pointers, others an element of an array."""

    def __init__(self, text: str) -> None:
        *marks, self.type, self.name = text.split()
        if self.type not in C_TYPES or any(mark != "raw" for mark in marks):
            raise NotImplementedError(f"the stand-in builds no kernel with the parameter {text!r}")
        self.raw = bool(marks)

    @property
    def declared(self) -> str:
        suffix = "" if self.raw else "_all"
        return f"{C_TYPES[self.type]}* {self.name}{suffix}"

    @property
    def bound(self) -> str:
        return "" if self.raw else f"{C_TYPES[self.type]}& {self.name} = {self.name}_all[i];"


@cache
def built(name: str, parameters: tuple[str, ...], body: str) -> Any:
    """The kernel's body in a loop, compiled for the host."""
    known = [Parameter(text) for text in parameters]
    declared = ", ".join(each.declared for each in known)
    bound = " ".join(each.bound for each in known)
    loop = f"for (long long i = 0; i < count; ++i) {{ {bound} {body} }}"
    folder = Path(tempfile.mkdtemp(prefix="standin-"))
    source = folder / f"{name}.cpp"
    source.write_text(f'{PROLOGUE}\nextern "C" void {name}(long long count, {declared}) {{ {loop} }}\n')
    library = folder / f"{name}.so"
    subprocess.run(["g++", "-O1", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    return getattr(ctypes.CDLL(str(library)), name)


class ElementwiseKernel:
    """A body run for every element of its arrays."""

    def __init__(
        self,
        in_params: str,
        out_params: str,
        operation: str,
        name: str = "kernel",
        *unknown: Any,
        **named: Any,
    ) -> None:
        if unknown or named:
            raise NotImplementedError(f"the stand-in builds no kernel {name} with further options")
        self.inputs = tuple(part.strip() for part in in_params.split(",") if part.strip())
        self.outputs = tuple(part.strip() for part in out_params.split(",") if part.strip())
        self.operation, self.name = operation, name

    def __call__(self, *arrays: Any, size: int | None = None) -> Any:
        parameters = [Parameter(text) for text in (*self.inputs, *self.outputs)]
        launched(*arrays)
        held = [unwrapped(array) for array in arrays]
        for parameter, array in zip(parameters, held, strict=True):
            if array.dtype.name != parameter.type or not array.flags.c_contiguous:
                raise TypeError(f"{self.name}: {parameter.name} is {array.dtype}, not {parameter.type}")
        sizes = {array.size for parameter, array in zip(parameters, held, strict=True) if not parameter.raw}
        if size is None and len(sizes) != 1:
            raise ValueError(f"{self.name}: the loop's size cannot be told")
        function = built(self.name, (*self.inputs, *self.outputs), self.operation)
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in held]
        function(ctypes.c_longlong(size if size is not None else sizes.pop()), *pointers)
        return arrays[len(self.inputs) :]


def refused(kind: str) -> type:
    def refuse(self: Any, *arguments: Any, **named: Any) -> NoReturn:
        name = named.get("name") or arguments[-1 if kind == "RawKernel" else 0][:40]
        raise NotImplementedError(f"the stand-in builds no {kind}: {name!r}")

    return type(kind, (), {"__init__": refuse})


RawKernel, RawModule, ReductionKernel = map(refused, ("RawKernel", "RawModule", "ReductionKernel"))
