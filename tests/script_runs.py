"""Runs of Python in a process of its own, for what only a fresh interpreter shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Scripts for PyTorch still use it, and are warned there too.
OLDER = "ignore:[cuda.amp.GradScaler] is deprecated:FutureWarning"


def python(*arguments: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    """A run of Python that finds this checkout; warnings are errors, but that of an older name."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    return subprocess.run(
        [sys.executable, "-W", "error", "-W", OLDER, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def succeeded(done: subprocess.CompletedProcess) -> str:
    """What a run printed, which must have gone well."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
