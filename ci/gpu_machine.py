"""What gpu_check.py must know of the machine before its first stage: what is missing, and where caches go."""

from __future__ import annotations

import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEAST_PYTHON = (3, 11)
CUPY = "'cupy-cuda13x[ctk]' (cupy-cuda12x where nvidia-smi shows a CUDA version below 13)"
NEEDED = {"numpy": "numpy", "ml_dtypes": "ml_dtypes", "cupy": CUPY}
"""Without these nothing runs: module -> what to install."""
WANTED = {
    "pytest": "the stages suite, amp and others fail",
    "xdist": "the suites run in one process (package pytest-xdist)",
    "scipy": "many tests fail",
    "hypothesis": "some tests fail",
    "torch": "nothing is timed beside PyTorch",
}
"""Modules without which something is left out."""
CACHES = {"CUPY_CACHE_DIR": "~/.cupy/kernel_cache", "DEVTENSOR_CUBIN_CACHE": "~/.cache/devtensor/cubins"}
"""Environment variables that name folders for compiled kernels, and where these are otherwise."""


def there(module: str) -> bool:
    return find_spec(module) is not None


def problem() -> str | None:
    """None if there is a GPU to check, else why not."""
    if sys.version_info < LEAST_PYTHON:
        return f"this is Python {sys.version.split()[0]}; devtensor needs 3.11 or newer"
    lacking = [module for module in NEEDED if not there(module)]
    if lacking:
        return f"{', '.join(lacking)} cannot be found by {sys.executable}"
    sys.path[:0] = [str(ROOT), str(ROOT / "backends")]
    try:
        from devtensor_cupy import backend

        return backend.available()
    except Exception as error:
        return f"devtensor cannot be imported: {type(error).__name__}: {error}"


def advice() -> list[str]:
    """What is missing on this machine, and what to do about it."""
    told = [f"{name} is missing: python -m pip install {NEEDED[name]}" for name in NEEDED if not there(name)]
    return told + [f"{name} is missing: {lost}" for name, lost in WANTED.items() if not there(name)]


def caches() -> dict[str, str]:
    """Fresh folders, by variable, for compiled kernels that cannot go where they usually do.

    CuPy cannot be imported where it cannot make its own.
    """
    lacking = [
        variable
        for variable, usual in CACHES.items()
        if variable not in os.environ and not can_be_written(Path(os.path.expanduser(usual)))
    ]
    return {variable: tempfile.mkdtemp(prefix="devtensor-kernels-") for variable in lacking}


def can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
