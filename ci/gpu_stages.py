"""The stages of gpu_check.py, each a process: `python ci/gpu_stages.py NAME`.

A stage writes its numbers as it gets them, so that one that is stopped has told what it knew.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import warnings
import xml.etree.ElementTree
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PLACES = [str(ROOT), str(ROOT / "backends"), str(ROOT / "tests")]
LIMITS = {
    "versions": 30,
    "speeds": 40,
    "suite": 200,
    "amp": 60,
    "memory": 40,
    "streams": 40,
    "sources": 90,
    "benchmarks": 60,
}
"""Stages in order of worth, and the seconds of each."""
OURS_ARE_ERRORS = "filterwarnings=default\nerror:::devtensor"


class Numbers(dict):
    """What a stage measured, written whenever something is added."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        path = os.environ.get("DEVTENSOR_STAGE_RESULT")
        if path:
            Path(path).write_text(json.dumps(self), encoding="utf-8")


def milliseconds(function: Callable[[], object], rounds: int = 20) -> float:
    """The median time of a call on the device, by events."""
    import cupy

    for _ in range(3):
        function()
    times = []
    for _ in range(rounds):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        function()
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end))
    return statistics.median(times)


def versions(told: Numbers) -> None:
    """What a reader must know of the machine."""
    import cupy
    import numpy

    import devtensor
    from devtensor_cupy.compile import nvrtc

    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    told["device"] = properties["name"].decode()
    told["compute capability"] = f"{properties['major']}.{properties['minor']}"
    told["memory"] = properties["totalGlobalMem"]
    told["driver"], told["runtime"] = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    told["python"], told["platform"] = platform.python_version(), platform.platform()
    told["numpy"], told["cupy"], told["devtensor"] = (
        numpy.__version__,
        cupy.__version__,
        devtensor.__version__,
    )
    told["nvrtc"] = nvrtc.missing() or ".".join(map(str, nvrtc.version()))


def speeds(told: Numbers) -> None:
    """What this device can do, which later numbers are parts of: a large copy, large products."""
    import cupy

    source = cupy.ones(2**26, cupy.float32)
    target = cupy.empty_like(source)
    told["copy GB/s"] = 2 * source.nbytes / milliseconds(lambda: cupy.copyto(target, source)) / 1e6
    size = 4096
    for dtype in ("float16", "float32", "float64"):
        a = cupy.ones((size, size), dtype)
        told[f"product {dtype} TFLOP/s"] = 2 * size**3 / milliseconds(partial(cupy.matmul, a, a)) / 1e9


def tests(told: Numbers, *paths: str) -> None:
    """Our tests on the device; warnings of devtensor's own are errors, others are not ours to judge.

    Errors: SystemExit with pytest's status if one fails.
    """
    report = Path(os.environ["DEVTENSOR_STAGE_RESULT"]).with_suffix(".xml")
    command = [sys.executable, "-m", "pytest", "-q", "--device", "cuda", "-p", "no:cacheprovider"]
    command += ["-o", OURS_ARE_ERRORS, f"--junitxml={report}", "--maxfail=100", *paths]
    if find_spec("pytest") is None:
        told["tests"] = "pytest is not installed"
        sys.exit(1)
    if find_spec("xdist") is not None:
        command += ["--numprocesses", "4", "--dist", "loadgroup"]
    process = subprocess.Popen(command, cwd=ROOT)
    # When time is over, the tests are interrupted with us, and write their report before they end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = process.wait()
    if report.is_file():
        told["tests"] = counted(report)
    if status:
        sys.exit(status)


def counted(report: Path) -> dict[str, Any]:
    """How many tests there were, and the names of those that failed."""
    root = xml.etree.ElementTree.parse(report).getroot()
    bad = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in root.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    ran = len([*root.iter("testcase")])
    return {"ran": ran, "skipped": len([*root.iter("skipped")]), "failed": len(bad), "names": bad[:50]}


def suite(told: Numbers) -> None:
    """The generated suite: every op, dtype and layout on the device against the CPU and NumPy."""
    tests(told, "tests/ops", "tests/backends")


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
    tests(told, "tests/amp")


def memory(told: Numbers) -> None:
    """Training holds no more after many steps than after a few; a request too large does no harm."""
    import devtensor

    train("cuda", 3)
    devtensor.cuda.synchronize()
    before = devtensor.cuda.memory_allocated()
    train("cuda", 50)
    devtensor.cuda.synchronize()
    told["allocated"] = {"before": before, "after": devtensor.cuda.memory_allocated()}
    assert devtensor.cuda.memory_allocated() <= before
    try:
        devtensor.zeros(2**42, device="cuda")
    except devtensor.cuda.OutOfMemoryError as error:
        told["refusal"] = str(error)
    assert "refusal" in told, "a request of 16 TiB was not refused"
    train("cuda", 1)


def streams(told: Numbers) -> None:
    """Two streams and an event through one buffer, many times; then the tests of devtensor.cuda."""
    from cuda_sources.pipeline import cast_on_a_side_stream, is_right
    from devtensor_cupy.compile.cupy_runtime import CupyRuntime

    right = sum(is_right(cast_on_a_side_stream(CupyRuntime())) for _ in range(50))
    told["pipelines right of 50"] = right
    assert right == 50
    tests(told, "tests/cuda")


def sources(told: Numbers) -> None:
    """Every kernel on the device against NumPy; the bits against the host build where there is a g++."""
    from cuda_sources.all_cases import cases_by_entry
    from cuda_sources.running import check
    from cudashim.build import compiler_missing
    from cudashim.hostsim import HostSim
    from devtensor_cupy.compile.cupy_runtime import CupyRuntime

    device, bad, other_bits, ran = CupyRuntime(("--fmad=false",)), [], [], 0
    for entry, cases in cases_by_entry().items():
        for case in cases:
            ran += 1
            try:
                bits = check(case, device)
            except AssertionError as error:
                bad.append(f"{case.name}: {str(error)[:200]}")
                continue
            if compiler_missing() is None and bits != check(case, HostSim()):
                other_bits.append(entry)
        told["cases"] = ran
    told["wrong"], told["kernels whose bits differ from the host's"] = bad, sorted(set(other_bits))
    assert not bad, bad


def benchmarks(told: Numbers) -> None:
    """Milliseconds of common work, large enough to be bound by the device, and of a small training step."""
    import devtensor

    functional = devtensor.nn.functional
    x = devtensor.randn(8192, 4096, device="cuda")
    half = x[:4096].half()
    work = {
        "add, 128 MiB": lambda: x + x,
        "gelu, 128 MiB": lambda: functional.gelu(x),
        "softmax, 8192 x 4096": lambda: functional.softmax(x, -1),
        "layer norm, 8192 x 4096": lambda: functional.layer_norm(x, (4096,)),
        "sum, 128 MiB": lambda: x.sum(),
        "product float16, 4096": lambda: half @ half.T,
    }
    with devtensor.no_grad():
        for name, function in work.items():
            told[f"{name}: ms"] = round(milliseconds(function), 4)
    told["30 steps of a small model: ms"] = round(milliseconds(lambda: train("cuda", 30), 3), 1)


STAGES: dict[str, Callable[[Numbers], None]] = {
    "versions": versions,
    "speeds": speeds,
    "suite": suite,
    "amp": amp,
    "memory": memory,
    "streams": streams,
    "sources": sources,
    "benchmarks": benchmarks,
}


def main(name: str) -> None:
    """Run one stage, devtensor's own warnings being errors."""
    sys.path[:0] = PLACES
    warnings.filterwarnings("error", module="devtensor")
    STAGES[name](Numbers())


if __name__ == "__main__":
    main(sys.argv[1])
