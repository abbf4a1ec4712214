"""The CUDA backend where there is no CUDA: clear reasons, and its table over NumPy in CuPy's place."""

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


OVER_NUMPY = """
import sys, types
import numpy as np, scipy.special
import devtensor
cupy = types.ModuleType("cupy")
cupy.__dict__.update({name: getattr(np, name) for name in dir(np) if not name.startswith("__")})
cupyx, scipy_like = types.ModuleType("cupyx"), types.ModuleType("cupyx.scipy")
scipy_like.special = scipy.special
sys.modules |= {"cupy": cupy, "cupyx": cupyx, "cupyx.scipy": scipy_like}
from devtensor_numpy import backend as cpu
from devtensor_cupy.kernels import CUPY_DTYPES, kernel_table, specialise
table = kernel_table()
assert table.keys() == cpu.kernels.keys()
rng = np.random.default_rng(0)
index = np.array([[0, 2], [2, 2]])

def same(name, dtype, *arguments):
    mine = specialise(name, table[name], dtype)(*arguments)
    theirs = cpu.specialise(name, cpu.kernels[name], dtype)(*arguments)
    assert mine.dtype == theirs.dtype, (name, dtype, mine.dtype)
    rtol = 1e-2 if dtype in HALVES else 1e-6
    np.testing.assert_allclose(mine.astype(float), theirs.astype(float), rtol=rtol)

HALVES = ("float16", "bfloat16")
for dtype in (*HALVES, "float32", "int8", "uint8", "int16", "int32", "int64"):
    x = rng.uniform(1, 9, (3, 4)).astype(CUPY_DTYPES[dtype])
    for name in ("add", "mul", "maximum", "eq", "logical_and"):
        same(name, dtype, x, x)
    for name in ("sum", "amax", "any"):
        same(name, dtype, x, (0,), False)
    same("where", dtype, x > 2, x, -x)
    same("matmul", dtype, x, x.T)
    same("matmul", dtype, np.stack([x, x]), x.T)
    same("matmul", dtype, np.stack([x, x]), np.stack([x.T, x.T]))
    same("tril", dtype, x, 0)
    same("index_select", dtype, x, index[0], 0)
    same("gather", dtype, x, index, 0)
    same("scatter", dtype, x, index, x, 0)
    same("scatter_add", dtype, x, index, x, 0)
    same("embedding", dtype, x, index)
    same("embedding_grad", dtype, x[:2].reshape(2, 2, 2), index, 3)
    same("index_get", dtype, x, index[0], (0,))
    if dtype.startswith(("float", "bfloat")):
        for name in ("erf", "erfc", "lgamma", "digamma", "sigmoid", "softmax"):
            same(name, dtype, x, *([1] if name == "softmax" else []))
print("same")
"""


def test_the_table_agrees_with_the_cpu_over_numpy():
    assert run_python(OVER_NUMPY) == "same"


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
