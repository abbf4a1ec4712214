"""The CUDA device without a GPU: its Python runs over a stand-in that takes CuPy's place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
STANDIN = ROOT / "tests" / "standin"
BACKEND = ROOT / "backends" / "devtensor_cupy"
ENOUGH = 0.85
SOME_OPS = [
    "add",
    "matmul",
    "sum",
    "softmax",
    "where",
    "index_put",
    "scatter_add",
    "linalg_solve_ex",
    "logical_and",
    "cast",
    "embedding_grad",
    "unique",
    "sort",
    "rnn_layer",
    "erf",
    "overwrite",
    "floor_divide",
    "remainder",
    "fmod",
    "sqrt",
    "argmax",
]

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and not os.environ.get("CI"),
    reason="g++ is missing: the stand-in builds CUDA bodies with it",
)


def run_over_standin(*arguments: str, timeout: int = 300, **environment: str) -> str:
    """What pytest tells when the stand-in serves "cuda"."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "backends", ROOT / "tests", STANDIN)))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments]
    variables = {**os.environ, "PYTHONPATH": paths, **environment}
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS", "DEVTENSOR_BACKENDS", "DEVTENSOR_DEBUG"):
        variables.pop(name, None)
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=variables, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


@needs_compiler
@pytest.mark.xdist_group("standin")
def test_the_backend_s_own_tests_run_its_lines(tmp_path):
    told = tmp_path / "lines.json"
    run_over_standin(
        "-p", "lines_run", "tests/cuda/on_standin", timeout=1200, LINES_OF=str(BACKEND), LINES_RUN=str(told)
    )  # fmt: skip
    files = json.loads(told.read_text())
    assert {"devices.py", "kernels.py", "memory.py", "queues.py"} <= files.keys()
    ran = sum(len(file["ran"]) for file in files.values())
    can = sum(len(file["can"]) for file in files.values())
    missing = {name: sorted({*file["can"]} - {*file["ran"]}) for name, file in files.items()}
    assert ran >= ENOUGH * can, f"{ran} of {can} lines ran; these did not: {missing}"


@needs_compiler
@pytest.mark.xdist_group("standin")
def test_ops_agree_with_their_references():
    run_over_standin(
        "--device", "cuda", "tests/ops/test_values.py", "-k", f"test_values and ({' or '.join(SOME_OPS)})"
    )


@needs_compiler
@pytest.mark.xdist_group("standin")
def test_optimizers_and_scalers_follow_their_formulas():
    run_over_standin(
        "--device", "cuda", "tests/optim/test_rules.py", "tests/amp/test_grad_scaler.py", "-k", "cuda"
    )


@needs_compiler
@pytest.mark.full
def test_every_op_agrees_with_its_reference():
    run_over_standin("--device", "cuda", "tests/ops/test_values.py", timeout=3600)
