"""The conformance suite, and a stranger's backend that passes it, installed as a distribution of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import devtensor.backend
from devtensor.core.errors import ArgumentError, DeviceError
from devtensor.core.op import OPS
from devtensor.testing import check_backend, check_op, conformance, strict, strict_arrays
from devtensor.testing.conformance import ConformanceError
from devtensor_numpy.devices import NumpyBackend

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "custom_backend.py"


def run(*command: str, **environment: str) -> subprocess.CompletedProcess:
    """Run Python with this checkout and the folder `extra` on the path, and one BLAS thread."""
    path = os.pathsep.join([*filter(None, [environment.pop("extra", "")]), str(ROOT), str(ROOT / "backends")])
    known = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", **environment}
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, env=known, timeout=300)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder into which the example was installed as a distribution named mydev-backend."""
    project, target = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("target")
    (project / "custom_backend.py").write_text(EXAMPLE.read_text())
    (project / "pyproject.toml").write_text(
        textwrap.dedent("""
            [build-system]
            requires = ["setuptools"]
            build-backend = "setuptools.build_meta"
            [project]
            name = "mydev-backend"
            version = "1.0"
            [project.entry-points."devtensor.backends"]
            mydev = "custom_backend:MyBackend"
            [tool.setuptools]
            py-modules = ["custom_backend"]
        """)
    )
    flags = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    done = run("-m", "pip", "install", *flags, "--target", str(target), str(project))
    assert done.returncode == 0, done.stderr
    return str(target)


def test_the_example_has_at_most_sixty_lines():
    assert len(EXAMPLE.read_text().splitlines()) <= 60


@pytest.mark.xdist_group("stranger")
def test_a_strangers_backend_conforms(installed):
    done = run("-m", "devtensor.testing.conformance", "mydev", extra=installed)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert f"checks passed on {len(OPS)} ops" in done.stdout


@pytest.mark.xdist_group("stranger")
def test_a_strangers_backend_trains(installed):
    step = textwrap.dedent("""
        import devtensor as torch
        torch.manual_seed(0)
        x = torch.randn(64, 3, device="mydev")
        y = x @ torch.tensor([[1.0], [-2.0], [3.0]], device="mydev")
        w = torch.zeros(3, 1, device="mydev", requires_grad=True)
        for _ in range(100):
            loss = ((x @ w - y) ** 2).mean()
            loss.backward()
            with torch.no_grad():
                w -= 0.1 * w.grad
            w.grad = None
        assert str(w.device) == "mydev:0" and type(w.array).__name__ == "MyArray", w
        print(loss.item())
    """)
    done = run("-c", step, extra=installed)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-6


@pytest.mark.xdist_group("stranger")
def test_the_door_says_who_offers_it(installed):
    done = run("-c", "import devtensor.backend as b; print(b.status())", extra=installed)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("mydev")]
    assert "available" in line and "mydev-backend" in line


class Faulty:
    """The strict backend under another name, with some kernels replaced."""

    def __init__(self, **kernels) -> None:
        self.good = strict.StrictBackend()
        self.name = "faulty"
        self.kernels = self.good.kernels | kernels

    def __getattr__(self, name):
        return getattr(self.good, name)

    def specialise(self, name, kernel, dtype, all_scalar=True):
        return kernel if kernel is not self.good.kernels[name] else self.good.specialise(name, kernel, dtype)


@pytest.fixture
def faulty():
    """Registers a backend with replaced kernels; it is gone after the test."""

    def register(**kernels):
        devtensor.backend.register(Faulty(**kernels), replace=True)

    yield register
    devtensor.backend.unregister("faulty")


def held(function):
    """A kernel on the arrays that strict arrays hold."""
    return lambda *args: strict.StrictArray(np.asarray(function(*strict_arrays.unwrapped(args))))


FAULTS = {
    "wrong value": ("exp", held(lambda x: np.exp(x) * (1 + 1e-3)), "values"),
    "wrong dtype": ("floor", held(lambda x: np.floor(x).astype(np.float64)), "dtypes"),
    "wrong shape": ("sum", held(lambda x, dims, keepdim: np.sum(x, dims, keepdims=True)), "shapes"),
    "wrong strides": ("flip", held(lambda x, dims: np.asfortranarray(np.flip(x, dims))), "shapes"),
    "alias": ("copy", lambda x: x, "contract"),
    "changed input": ("neg", held(lambda x: np.negative(x, out=x)), "contract"),
    "copy for a view": ("permute", held(lambda x, dims: np.transpose(x, dims).copy()), "contract"),
    "host copy": ("tanh", lambda x: strict.backend.upload(_read(x), x.shape, x.dtype.name, 0), "contract"),
}


def _read(array):
    return devtensor.backend.get("faulty").download(strict.StrictArray(np.tanh(array.held)))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(faulty, fault):
    name, kernel, check = FAULTS[fault]
    faulty(**{name: kernel})
    with pytest.raises(ConformanceError) as caught:
        check_op(name, "faulty")
    assert check in {found for _, found, _ in caught.value.failures}, caught.value


def test_a_missing_primitive_is_found_and_a_missing_composite_is_not(faulty):
    faulty()
    kernels = devtensor.backend.get("faulty").kernels
    del kernels["matmul"]
    kernels.pop("softmax", None)
    with pytest.raises(ConformanceError, match=r'matmul: .*add "matmul" to the kernels'):
        check_op("matmul", "faulty")
    check_op("softmax", "faulty", only=("values",))


def test_all_failures_come_in_one_error(faulty, monkeypatch):
    monkeypatch.setattr(conformance, "OPS", {name: OPS[name] for name in ("exp", "floor", "add")})
    faulty(exp=FAULTS["wrong value"][1], floor=FAULTS["wrong dtype"][1])
    with pytest.raises(ConformanceError) as caught:
        check_backend("faulty")
    assert {op for op, _, _ in caught.value.failures} == {"exp", "floor"}


def test_a_good_backend_passes(monkeypatch):
    monkeypatch.setattr(conformance, "OPS", {name: OPS[name] for name in ("exp", "matmul", "permute")})
    assert check_backend("strict") == 3 * len(conformance.CHECKS)


def test_wrong_names_are_refused():
    with pytest.raises(ArgumentError, match="no op is called 'nop'"):
        check_op("nop", "cpu")
    with pytest.raises(DeviceError, match="nowhere"):
        check_backend("nowhere")


def test_the_command_explains_itself(capsys):
    assert conformance.main([]) == 2
    assert "usage" in capsys.readouterr().out


def test_a_backend_with_three_dtypes_conforms():
    class Few(NumpyBackend):
        name = "few"
        dtypes = frozenset({"bool", "int64", "float32"})

    devtensor.backend.register(Few())
    try:
        assert check_backend("few") > 500
    finally:
        devtensor.backend.unregister("few")
