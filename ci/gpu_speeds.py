"""Stages of gpu_check.py that measure: what the device can do, and common work beside PyTorch's."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

from gpu_numbers import Numbers, interleaved, is_standin, milliseconds, sized
from gpu_works import MAKERS, Maker


def libraries() -> dict[str, Any]:
    """devtensor, and PyTorch if it is here, can be imported, and finds the device as well."""
    found = {"devtensor": importlib.import_module("devtensor")}
    if find_spec("torch") is not None and not is_standin():
        try:
            torch = importlib.import_module("torch")
        except (ImportError, OSError):
            return found
        if torch.cuda.is_available():
            found["torch"] = torch
    return found


def copy_bandwidth() -> float:
    """Gigabytes a second that a large copy reads and writes."""
    import cupy

    source = cupy.zeros(sized(2**27), "float32")
    target = cupy.empty_like(source)

    def copy() -> None:
        target[...] = source

    return 2 * source.nbytes / milliseconds(copy) / 1e6


def speeds(told: Numbers) -> None:
    """What this device can do, which later numbers are parts of: a large copy, large products."""
    told["copy GB/s"] = round(copy_bandwidth(), 1)
    found, size = libraries(), sized(8192)
    told["timed beside PyTorch"] = found["torch"].__version__ if "torch" in found else "no"
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        square = {name: T.rand(size, size, device="cuda").to(getattr(T, dtype)) for name, T in found.items()}
        work = {name: partial(T.matmul, square[name], square[name]) for name, T in found.items()}
        told.attempt(f"product {dtype} TFLOP/s", partial(_rates, work, 2 * size**3 / 1e9))
        square.clear()


def _rates(work: dict[str, Callable[[], object]], operations: float) -> dict[str, float]:
    rates = {name: round(operations / ms, 2) for name, ms in interleaved(work, 10).items()}
    if "torch" in rates:
        rates["devtensor / torch"] = round(rates["devtensor"] / rates["torch"], 3)
    return rates


def benchmarks(told: Numbers) -> None:
    """Milliseconds of common work, in turns with PyTorch where it is here."""
    bandwidth = copy_bandwidth()
    told["copy GB/s"] = round(bandwidth, 1)
    for name, maker in MAKERS.items():
        told.attempt(name, partial(_measured, maker, bandwidth))


def _measured(maker: Maker, bandwidth: float) -> dict[str, float]:
    """Times by library, and what part of the bandwidth ours reaches where memory binds it."""
    found = libraries()
    found["devtensor"].cuda.empty_cache()
    made = {name: maker(T) for name, T in found.items()}
    times = interleaved({name: work.run for name, work in made.items()})
    told, moved = beside(times), made["devtensor"].moved
    if moved:
        told["of copy"] = round(moved / times["devtensor"] / 1e6 / bandwidth, 3)
    return told


def beside(times: dict[str, float]) -> dict[str, float]:
    """Milliseconds by library, and how many times as fast as PyTorch ours is."""
    told = {f"{name} ms": round(ms, 4) for name, ms in times.items()}
    if "torch" in times:
        told["torch / devtensor"] = round(times["torch"] / times["devtensor"], 3)
    return told
