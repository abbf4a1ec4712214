"""One distribution: what its wheel holds, and the same devices however it comes to be on the path."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

pytestmark = pytest.mark.xdist_group("packaging")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Standard output of a command that must succeed, run without the caller's Python settings."""
    dropped = {"PYTHONPATH", "DEVTENSOR_BACKENDS", "VIRTUAL_ENV"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    line = [str(part) for part in command]
    done = subprocess.run(line, cwd=cwd, env=kept | environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(line)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of what a distribution is built from, so that building leaves nothing in the checkout."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("devtensor", "backends"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return copy


@pytest.fixture(scope="module")
def wheel(tree) -> Path:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tree / "out", cwd=tree)
    (found,) = (tree / "out").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def dependencies(tmp_path_factory) -> Path:
    """Everything installed beside this interpreter but devtensor itself, which may be installed or not."""
    folder = tmp_path_factory.mktemp("dependencies")
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not entry.name.startswith(("devtensor", "__editable__")):
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture
def python(tmp_path, dependencies) -> Path:
    """The interpreter of a fresh environment that has the dependencies and no devtensor."""
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "env", cwd=tmp_path)
    (site,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    return tmp_path / "env" / "bin" / "python"


def devices(python: Path, cwd: Path, **environment: str) -> list[tuple[str, ...]]:
    """Name, state and count of each device that `python -m devtensor` lists."""
    report = run(python, "-m", "devtensor", cwd=cwd, **environment)
    table = report.partition("\nDevices\n")[2].partition("\n\n")[0].splitlines()[1:]
    assert table, report
    return [tuple(re.split(r"\s{2,}", line.strip())[:3]) for line in table]


def pip(python: Path, cwd: Path, *arguments: str | Path) -> None:
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet")
    run(sys.executable, "-m", "pip", "--python", python, "install", *offline, *arguments, cwd=cwd)


def test_the_wheel_holds_three_packages_and_every_module(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    packages = {"devtensor", "devtensor_numpy", "devtensor_cupy"}
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == packages
    assert len(tops) == 4
    assert "devtensor/py.typed" in names
    assert {name for name in names if name.endswith(".py")} == {
        path.relative_to(base).as_posix()
        for base in (ROOT, ROOT / "backends")
        for package in packages
        for path in (base / package).rglob("*.py")
    }


def test_the_wheel_says_what_pyproject_says(wheel):
    archive = zipfile.ZipFile(wheel)
    info = next(name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name)
    metadata = archive.read(f"{info}/METADATA").decode()
    required = re.findall(r"^Requires-Dist: ([\w.-]+)[^;\n]*$", metadata, re.MULTILINE)
    assert sorted(required) == ["ml_dtypes", "numpy", "safetensors"]
    claims = archive.read(f"{info}/entry_points.txt").decode()
    for name, value in PROJECT["entry-points"]["devtensor.backends"].items():
        assert f"{name} = {value}" in claims
    assert f"{info}/licenses/LICENSE" in archive.namelist()


def test_every_way_to_have_it_offers_the_same_devices(tree, wheel, python, tmp_path):
    checkout = os.pathsep.join([str(tree), str(tree / "backends")])
    bare = devices(python, tmp_path, PYTHONPATH=checkout)
    assert {"cpu", "cuda", "meta"} == {row[0] for row in bare}
    assert ("cpu", "available", "1") in bare

    pip(python, tmp_path, wheel)
    assert devices(python, tmp_path) == bare
    assert devices(python, tmp_path, PYTHONPATH=checkout) == bare, "installed and in a checkout at once"

    pip(python, tmp_path, "--editable", tree)
    assert devices(python, tmp_path) == bare


def test_importing_devtensor_loads_no_array_library(tmp_path):
    code = "import sys, devtensor; print(sorted({'numpy', 'cupy', 'ml_dtypes'} & {*sys.modules}))"
    path = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    assert run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=path).strip() == "[]"


# What costs milliseconds to load, and a script that only asks for devtensor does not need.
SLOW = "asyncio dataclasses importlib.metadata inspect multiprocessing pathlib subprocess tempfile traceback"


def test_importing_devtensor_loads_no_slow_modules(tmp_path):
    path = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    code = (
        "import sys; before = {*sys.modules}; import devtensor; "
        f"print(sorted({{*{SLOW.split()}}} & {{*sys.modules}} - before))"
    )
    assert run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=path).strip() == "[]"


def test_the_report_names_versions_and_threads(tmp_path):
    path = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    environment = {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
    report = run(sys.executable, "-m", "devtensor", cwd=tmp_path, **environment)
    rows = {words[0]: words[1:] for line in report.splitlines() if (words := line.split())}
    assert rows["Python"][0] == sysconfig.get_config_var("py_version")
    assert rows["OPENBLAS_NUM_THREADS"] == ["1"]
    assert int(rows["cores"][0]) >= 1
    assert {"devtensor", "NumPy", "ml_dtypes", "safetensors", "CuPy", "BLAS"} <= rows.keys()
