"""Stages of gpu_check.py that settle facts: of CuPy and the driver, other libraries, NVIDIA's sanitizer."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from gpu_numbers import RESULT, ROOT, Numbers, host_microseconds, sized

FEW_CASES = "DEVTENSOR_STAGE_CASES"
"""The environment variable that says after how many cases the stage `sources` ends."""
SANITIZERS = ("memcheck", "racecheck", "synccheck")
OLDER_AND_NEWER = (75, 80, 86, 89, 90, 100, 120)
PLACES = "/usr/local/cuda*/bin/compute-sanitizer", "/usr/local/cuda*/compute-sanitizer/compute-sanitizer"


def facts(told: Numbers) -> None:
    """What the design takes for granted of launches, cubins and capture; nothing here can fail."""
    import cupy

    small = cupy.zeros(256, "float32")
    told.attempt("cupy add, microseconds of the host", lambda: host_microseconds(lambda: small + small))
    told.attempt("devtensor add, microseconds of the host", _eager_cost)
    told.attempt("a launch of ours, microseconds of the host", _launch_cost)
    told.attempt("a prepacked launch of ours, microseconds of the host", _prepacked_cost)
    told.attempt("NVRTC milliseconds by source", _compile_times)
    told.attempt("cubins of other compute capabilities load", _loaded_cubins)
    told.attempt("cupy.matmul while a stream is captured", _captured_product)


def _eager_cost() -> float:
    import devtensor

    small = devtensor.zeros(256, device="cuda")
    return host_microseconds(lambda: small + small)


class Cast:
    """A small kernel of ours on the current stream, and what it needs."""

    entry = "cast_float32_to_float16"

    def __init__(self) -> None:
        import cupy

        from devtensor_cupy.compile import SOURCES
        from devtensor_cupy.compile.cupy_runtime import CupyRuntime

        self.runtime = CupyRuntime()
        self.kernels = self.runtime.load(SOURCES["casts"])
        self.stream = cupy.cuda.get_current_stream()
        self.arrays = cupy.zeros(256, "float32"), cupy.zeros(256, "float16")
        self.values = [*(array.data.ptr for array in self.arrays), 256]


def _launch_cost() -> float:
    cast = Cast()
    values, stream = cast.values, cast.stream
    return host_microseconds(lambda: cast.runtime.launch(cast.kernels, cast.entry, 1, values, stream))


def _prepacked_cost() -> float:
    from devtensor_cupy.compile.arguments import packed

    cast = Cast()
    given = packed(cast.kernels.source.entries[cast.entry], cast.values)
    return host_microseconds(lambda: cast.kernels.start(cast.entry, 1, given, cast.stream))


def _compile_times() -> dict[str, float]:
    from devtensor_cupy.compile import SOURCES, cupy_compiler
    from devtensor_cupy.compile.cupy_runtime import CupyRuntime

    told, arch = {}, CupyRuntime().arch
    for source in SOURCES:
        begun = time.perf_counter()
        cupy_compiler.compile_cubin(source.text, source.name, arch)
        told[source.name] = round((time.perf_counter() - begun) * 1e3, 1)
    return told


def _loaded_cubins() -> dict[str, str]:
    """For each compute capability, whether this device takes its cubin."""
    import cupy

    from devtensor_cupy.compile import SOURCES, cupy_compiler

    told = {}
    for arch in OLDER_AND_NEWER:
        try:
            content = cupy_compiler.compile_cubin(SOURCES["casts"].text, "casts", arch)
            cupy.cuda.Module().load(content)
            told[f"sm_{arch}"] = "loads"
        except Exception as error:
            told[f"sm_{arch}"] = f"{type(error).__name__}: {str(error)[:80]}"
    return told


def _captured_product() -> str:
    """Left for last: a capture that breaks off leaves its stream unusable, and ending it fails as well."""
    import cupy

    a = cupy.zeros((sized(256), sized(256)), "float32")
    out = cupy.matmul(a, a)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        try:
            cupy.matmul(a, a, out=out)
            return "is captured"
        except Exception as error:
            return f"raises {type(error).__name__}: {str(error)[:200]}"
        finally:
            with contextlib.suppress(RuntimeError):
                stream.end_capture()


def exchange(told: Numbers) -> None:
    """DLPack with the libraries that are here, both ways, while the streams that write are busy."""
    bad = [
        key
        for name, there in (("torch", _torch), ("jax", _jax), ("cupy", _cupy))
        for key in [f"DLPack with {name}"]
        if not (told.attempt(key, partial(_exchanged, name, there)) and told[key] != "wrong values")
    ]
    assert not bad, f"{bad}: {[told[key] for key in bad]}"


def _exchanged(name: str, there: Callable[[], tuple[Callable, Callable] | None]) -> str:
    import devtensor

    if find_spec(name) is None:
        return f"{name} is not installed"
    ways = there()
    if ways is None:
        return f"{name} finds no such device"
    take, double = ways
    for turn in range(20):
        with devtensor.cuda.stream(devtensor.cuda.Stream()):
            x = devtensor.full((sized(2048), sized(2048)), float(turn), device="cuda")
            for _ in range(10):
                x = x + 1
            back = devtensor.from_dlpack(double(take(x)))
            if bool((back != 2.0 * (turn + 10)).any()):
                return "wrong values"
    return "right in 20 turns"


def _torch() -> tuple[Callable, Callable] | None:
    import torch

    return (torch.from_dlpack, lambda t: t * 2) if torch.cuda.is_available() else None


def _jax() -> tuple[Callable, Callable] | None:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    gpus = [device for device in jax.devices() if device.platform in ("gpu", "cuda")]
    return (jax.dlpack.from_dlpack, lambda t: t * 2) if gpus else None


def _cupy() -> tuple[Callable, Callable]:
    import cupy

    return cupy.from_dlpack, lambda t: t * 2


def sanitizer(told: Numbers) -> None:
    """NVIDIA's compute-sanitizer on cases of our kernels, if the machine has it."""
    program = shutil.which("compute-sanitizer") or next(
        (str(found) for place in PLACES for found in Path("/").glob(place[1:])), None
    )
    if program is None:
        told["compute-sanitizer"] = "not found on this machine"
        return
    bad = []
    for tool in SANITIZERS:
        told.attempt(tool, partial(_sanitized, program, tool))
        if not re.match(r"0 errors$|cannot look here|TimeoutExpired", str(told[tool])):
            bad.append(tool)
    assert not bad, {tool: told[tool] for tool in bad}


def _sanitized(program: str, tool: str) -> str:
    """How many errors a tool finds; why it cannot look, if it cannot."""
    stage = [sys.executable, str(ROOT / "ci" / "gpu_stages.py"), "sources"]
    surroundings = {**os.environ, FEW_CASES: "20"}
    surroundings.pop(RESULT, None)
    done = subprocess.run(
        [program, "--tool", tool, *stage], capture_output=True, text=True, timeout=40, env=surroundings
    )
    found = re.search(r"(?:ERROR|RACECHECK) SUMMARY: (\d+)", done.stdout)
    text = (done.stdout + done.stderr).strip()
    if found is None or "Device not supported" in text:
        return f"cannot look here: {text[-200:]}"
    return f"{found[1]} errors" + ("" if done.returncode == 0 else f"; the cases fail: {text[-300:]}")
