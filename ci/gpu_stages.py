"""The stages of gpu_check.py, each a process: `python ci/gpu_stages.py NAME`.

Here stand those that ask whether all is right; gpu_sources.py asks so of our kernels, gpu_speeds.py and
gpu_models.py measure, gpu_facts.py settles facts.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import signal
import sys
import warnings
from collections.abc import Callable

from gpu_facts import exchange, facts, sanitizer
from gpu_models import models
from gpu_numbers import DEVICE, ROOT, Numbers, is_standin, sized
from gpu_sources import runtime, sources
from gpu_speeds import benchmarks, speeds
from gpu_tally import tests

PLACES = [str(ROOT), str(ROOT / "backends"), str(ROOT / "tests")]
LIMITS = {
    "versions": 30,
    "speeds": 40,
    "streams": 30,
    "memory": 30,
    "graphs": 40,
    "suite": 150,
    "amp": 60,
    "benchmarks": 60,
    "models": 80,
    "sources": 60,
    "exchange": 30,
    "facts": 40,
    "others": 90,
    "sanitizer": 130,
}
"""Stages in order of worth, and the seconds of each: what goes wrong in them is known soonest."""
END_WITH_PARENT = 1
"""Linux's PR_SET_PDEATHSIG: the signal that a process gets when its parent has ended."""
KEPT_TABLES = 2**17
"""Bytes that tables of addresses may take which are kept for the next step."""


def versions(told: Numbers) -> None:
    """What a reader must know of the machine."""
    import cupy
    import numpy

    import devtensor
    from devtensor_cupy.compile import cupy_compiler

    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    told["device"] = properties["name"].decode()
    if is_standin():
        told["note"] = "a stand-in plays the device: times, rates and memory mean nothing"
    told["compute capability"] = f"{properties['major']}.{properties['minor']}"
    told["memory"] = properties["totalGlobalMem"]
    told["driver"], told["runtime"] = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    told["python"], told["platform"] = platform.python_version(), platform.platform()
    told["cores"], told["numpy"] = os.cpu_count(), numpy.__version__
    told["cupy"], told["devtensor"] = cupy.__version__, devtensor.__version__
    told["devices"] = runtime.getDeviceCount()
    told.attempt("nvrtc", lambda: ".".join(map(str, cupy_compiler.version())))
    told["first sum"] = first_sum()
    assert told["first sum"] == "right", f"nothing can run here: {told['first sum']}"


def first_sum() -> str:
    """Whether CuPy can compile and launch its own kernels, which all else stands on."""
    import cupy

    try:
        found = float((cupy.arange(5, dtype="float32") + 1).sum())
    except Exception as error:
        told = f"{type(error).__name__}: {str(error)[:500]}"
        return f"{told}; if CUDA's headers are missing: pip install 'cuda-toolkit[cudart]', or set CUDA_PATH"
    return "right" if found == 15.0 else f"{found}, and not 15"


def suite(told: Numbers) -> None:
    """Every op, dtype and layout on the device against NumPy: the generated tests."""
    tests(told, "tests/ops")


def train(device: str, steps: int) -> list[float]:
    """Losses of a small model in mixed precision, with scaling and clipping."""
    import devtensor

    devtensor.manual_seed(0)
    nn = devtensor.nn
    model = nn.Sequential(nn.Linear(32, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 1)).to(device)
    optimizer = devtensor.optim.AdamW(model.parameters(), lr=1e-2)
    scaler = devtensor.amp.GradScaler(device)
    x, y = devtensor.randn(256, 32).to(device), devtensor.randn(256, 1).to(device)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        with devtensor.autocast(device, dtype=devtensor.float16):
            loss = nn.functional.mse_loss(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    return losses


def amp(told: Numbers) -> None:
    """Mixed precision: training agrees with the CPU's, then the tests."""
    here, there = train("cpu", 30), train("cuda", 30)
    told["losses"] = {"cpu": here[::10], "cuda": there[::10]}
    assert all(abs(a - b) <= 0.02 * abs(a) for a, b in zip(here, there, strict=True)), (here, there)
    tests(told, "tests/amp", "tests/optim")


def held_after(steps: int) -> int:
    """Bytes in use on the device when training has ended."""
    import devtensor

    train("cuda", steps)
    gc.collect()
    devtensor.cuda.synchronize()
    return devtensor.cuda.memory_allocated()


def memory(told: Numbers) -> None:
    """Training holds no more after many steps than after a few; requests too large do no harm."""
    import devtensor

    few, many = (3, 8) if is_standin() else (10, 100)
    before = held_after(few)
    told["allocated"] = {"before": before, "after": held_after(many)}
    assert told["allocated"]["after"] <= before + KEPT_TABLES, told["allocated"]
    free, total = devtensor.cuda.mem_get_info()
    told["free"], told["total"] = free, total
    for request in (2**42,) if is_standin() else (2**42, total + 2**30):
        try:
            devtensor.zeros(request // 4, device="cuda")
        except devtensor.cuda.OutOfMemoryError as error:
            told[f"refusal of {request} bytes"] = str(error)
        assert f"refusal of {request} bytes" in told, f"a request of {request} bytes was not refused"
        train("cuda", 1)
    devtensor.cuda.empty_cache()
    told["reserved at the end"] = devtensor.cuda.memory_reserved()
    assert held_after(1) <= before + KEPT_TABLES


def streams(told: Numbers) -> None:
    """Two streams and an event through one buffer, and pinned copies that do not wait, many times each."""
    import devtensor
    from cuda_sources.pipeline import cast_on_a_side_stream, is_right

    right = sum(is_right(cast_on_a_side_stream(runtime(told))) for _ in range(50))
    told["pipelines right of 50"] = right
    assert right == 50
    wrong = 0
    for turn in range(50):
        host = devtensor.full((sized(2**20),), float(turn)).pin_memory()
        with devtensor.cuda.stream(devtensor.cuda.Stream()):
            doubled = host.to("cuda", non_blocking=True) * 2
            back = doubled.to("cpu", non_blocking=True)
        del host
        devtensor.cuda.synchronize()
        wrong += bool((back != 2.0 * turn).any())
    told["pinned copies wrong of 50"] = wrong
    assert not wrong


def graphs(told: Numbers) -> None:
    """Two captured steps replayed in turns, with memory asked for and freed between: equal to eager steps."""
    import devtensor

    ends = {}
    for way in ("eager", "replayed"):
        steps = [stepper(seed, way == "replayed") for seed in (1, 2)]
        losses = []
        for turn in range(20 if is_standin() else 100):
            losses += [step() for step in steps]
            storm = [devtensor.full((1 + 997 * k,), float(turn), device="cuda") for k in range(20)]
            del storm
        ends[way] = [loss.item() for loss in losses]
    told["steps"] = len(ends["eager"])
    differing = sum(a != b for a, b in zip(ends["eager"], ends["replayed"], strict=True))
    told["steps whose loss differs"] = differing
    told["dropout masks that differ from the CPU's"] = other = sum(map(dropout_differs, range(20)))
    assert not differing and not other


def dropout_differs(seed: int) -> bool:
    """Whether the device drops other elements than the CPU does, after the same seed."""
    import devtensor

    masks = []
    for device in ("cpu", DEVICE):
        devtensor.manual_seed(seed)
        ones = devtensor.ones(sized(2**16) + seed, device=device)
        masks.append(devtensor.nn.functional.dropout(ones, 0.3).cpu())
    return not devtensor.equal(*masks)


def stepper(seed: int, captured: bool) -> Callable:
    """A step of mixed precision, which gives its loss; captured it is a graph from the third call on."""
    import devtensor

    devtensor.manual_seed(seed)
    nn = devtensor.nn
    model = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.LayerNorm(32), nn.Linear(32, 1)).to(DEVICE)
    optimizer = devtensor.optim.AdamW(model.parameters(), lr=1e-2)
    scaler = devtensor.amp.GradScaler(DEVICE)
    x, y = devtensor.randn(64, 16, device=DEVICE), devtensor.randn(64, 1, device=DEVICE)

    def step() -> devtensor.Tensor:
        optimizer.zero_grad()
        with devtensor.autocast(DEVICE, dtype=devtensor.float16):
            loss = nn.functional.mse_loss(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.detach().clone()

    return devtensor.graph.capture(step) if captured else step


def others(told: Numbers) -> None:
    """Everything else in our tests that needs the device."""
    elsewhere = ("ops", "amp", "optim", "cuda_sources", "opinfo")
    tests(told, "tests", *(f"--ignore=tests/{folder}" for folder in elsewhere))


STAGES: dict[str, Callable[[Numbers], None]] = {
    "versions": versions,
    "speeds": speeds,
    "streams": streams,
    "memory": memory,
    "graphs": graphs,
    "suite": suite,
    "amp": amp,
    "benchmarks": benchmarks,
    "models": models,
    "sources": sources,
    "exchange": exchange,
    "facts": facts,
    "others": others,
    "sanitizer": sanitizer,
}


def main(name: str) -> None:
    """Run one stage, devtensor's own warnings being errors; who is killed takes it along."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
    sys.path[:0] = PLACES
    warnings.filterwarnings("error", module="devtensor")
    STAGES[name](Numbers())


if __name__ == "__main__":
    main(sys.argv[1])
