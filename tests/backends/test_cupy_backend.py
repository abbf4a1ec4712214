"""The CUDA backend where there is no CUDA: clear reasons. Where a stand-in plays it: `tests/cuda`."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from devtensor.backend.protocol import Backend
from devtensor_cupy.devices import CupyBackend


def run_python(script: str) -> str:
    """What a fresh interpreter prints."""
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ | paths)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class DriverError(RuntimeError):
    """CuPy's CUDARuntimeError."""


def backend_with(devices: int | None) -> CupyBackend:
    """The backend over a CuPy that counts this many devices; None is a missing driver."""

    def count() -> int:
        if devices is None:
            raise DriverError("cudaErrorInsufficientDriver")
        return devices

    runtime = SimpleNamespace(getDeviceCount=count, CUDARuntimeError=DriverError)
    backend = CupyBackend()
    backend.__dict__["cupy"] = SimpleNamespace(__version__="14.2.0", cuda=SimpleNamespace(runtime=runtime))
    return backend


def test_importing_the_package_imports_no_cupy():
    assert run_python("import sys, devtensor, devtensor_cupy; print('cupy' in sys.modules)") == "False"


def test_reason_where_cupy_is_missing():
    script = "import sys; sys.modules['cupy'] = None\nimport devtensor, devtensor_cupy as c\n"
    printed = run_python(script + "print(c.backend.device_count(), c.backend.available())")
    assert printed.startswith("0 CuPy is not installed; run: pip install")


@pytest.mark.parametrize(
    ("devices", "reason"),
    [(None, "no usable NVIDIA driver: cudaErrorInsufficientDriver"), (0, "no NVIDIA device")],
)
def test_reason_where_the_machine_has_no_device(devices, reason):
    backend = backend_with(devices)
    assert reason in backend.available() and backend.device_count() == 0
    assert reason in backend.describe()["CuPy"]


def test_counts_devices():
    backend = backend_with(2)
    assert backend.available() is None and backend.device_count() == 2


def test_bfloat16_needs_a_recent_cupy():
    backend = backend_with(1)
    assert "bfloat16" in backend.dtypes
    older = backend_with(1)
    older.cupy.__version__ = "13.6.0"
    assert older.dtypes == backend.dtypes - {"bfloat16"}


def test_is_a_backend():
    script = (
        "from devtensor_cupy.devices import CupyBackend as C; print([m for m in NEEDED if m not in dir(C)])"
    )
    needed = sorted(m for m in {*Backend.__annotations__, *vars(Backend)} if not m.startswith("_"))
    assert run_python(f"import devtensor; NEEDED = {needed}; {script}") == "[]"


def test_without_cupy_the_door_says_what_to_install():
    status = run_python(
        "import sys; sys.modules['cupy'] = None\n"
        "import devtensor as torch\n"
        "print(torch.backend.status(), torch.cuda.is_available())\n"
        "try: torch.ones(2).to('cuda')\n"
        "except RuntimeError as error: print(error)"
    )
    row = next(line for line in status.splitlines() if line.startswith("cuda"))
    assert "unavailable" in row and "pip install devtensor[cuda12]" in row
    assert status.splitlines()[-2].endswith("False")
    assert status.splitlines()[-1].startswith('[device] "cuda" cannot be used')
