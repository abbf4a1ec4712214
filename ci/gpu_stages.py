"""The stages of gpu_check.py, each a process: `python ci/gpu_stages.py NAME`.

Here stand those that ask whether all is right; gpu_speeds.py measures, gpu_facts.py settles facts.
"""

from __future__ import annotations

import gc
import os
import platform
import sys
import warnings
from collections.abc import Callable
from typing import Any

from gpu_facts import FEW_CASES, exchange, facts, sanitizer
from gpu_numbers import DEVICE, ROOT, Numbers, is_standin, sized
from gpu_speeds import benchmarks, models, speeds
from gpu_tally import tests

PLACES = [str(ROOT), str(ROOT / "backends"), str(ROOT / "tests")]
LIMITS = {
    "versions": 30,
    "speeds": 40,
    "suite": 150,
    "amp": 60,
    "sources": 60,
    "benchmarks": 50,
    "memory": 30,
    "streams": 30,
    "graphs": 40,
    "models": 60,
    "exchange": 30,
    "facts": 40,
    "others": 90,
    "sanitizer": 70,
}
"""Stages in order of worth, and the seconds of each."""
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
    told.attempt("nvrtc", lambda: ".".join(map(str, cupy_compiler.version())))


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

    few, many = (3, 12) if is_standin() else (10, 100)
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


def runtime(told: Numbers, *options: str) -> Any:
    """What launches our sources: the device, or the host's simulation where a stand-in plays it."""
    if is_standin():
        from cudashim.hostsim import HostSim

        told["note"] = "HostSim plays the device"
        return HostSim()
    from devtensor_cupy.compile.cupy_runtime import CupyRuntime

    return CupyRuntime(options)


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
    assert not differing


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


def sources(told: Numbers) -> None:
    """Every kernel on the device against NumPy; the bits against the host build where there is a g++."""
    from cuda_sources.all_cases import cases_by_entry
    from cuda_sources.running import check
    from cudashim.build import compiler_missing
    from cudashim.hostsim import HostSim

    most = int(os.environ.get(FEW_CASES, "1000000"))
    cases = [case for each in cases_by_entry().values() for case in each]
    chosen = cases[:: max(1, len(cases) // most)][:most]
    device, host = runtime(told, "--fmad=false"), None
    if compiler_missing() is None and most == 1000000:
        host = HostSim()
    bad, other_bits = [], set()
    for place, case in enumerate(chosen):
        try:
            bits = check(case, device)
            if host is not None and bits != check(case, host):
                other_bits.add(case.entry)
        except Exception as error:
            bad.append(f"{case.name}: {type(error).__name__}: {str(error)[:200]}")
        told["cases"] = place + 1
    told["wrong"] = bad
    compared = sorted(other_bits) if host is not None else "not compared"
    told["kernels whose bits differ from the host's"] = compared
    assert not bad, bad


def others(told: Numbers) -> None:
    """Everything else in our tests that needs the device."""
    elsewhere = ("ops", "amp", "optim", "cuda_sources", "opinfo")
    tests(told, "tests", *(f"--ignore=tests/{folder}" for folder in elsewhere))


STAGES: dict[str, Callable[[Numbers], None]] = {
    "versions": versions,
    "speeds": speeds,
    "suite": suite,
    "amp": amp,
    "sources": sources,
    "benchmarks": benchmarks,
    "memory": memory,
    "streams": streams,
    "graphs": graphs,
    "models": models,
    "exchange": exchange,
    "facts": facts,
    "others": others,
    "sanitizer": sanitizer,
}


def main(name: str) -> None:
    """Run one stage, devtensor's own warnings being errors."""
    sys.path[:0] = PLACES
    warnings.filterwarnings("error", module="devtensor")
    STAGES[name](Numbers())


if __name__ == "__main__":
    main(sys.argv[1])
