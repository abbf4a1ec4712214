"""What the stand-in has of CuPy's bindings, an installed CuPy has with the same arguments."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cuda.test_cupy_names import ROOT, cupy_python

BINDINGS = ROOT / "tests" / "standin" / "cupy_backends"
MODULES = ["cuda.api.driver", "cuda.libs.nvrtc", "cuda.libs.nvtx"]
LOOK = """
import importlib, json, sys
told = {}
for module in json.load(sys.stdin):
    found = importlib.import_module("cupy_backends." + module)
    told[module] = {name: getattr(found, name).__doc__ or "" for name in dir(found) if name[0] != "_"}
print(json.dumps(told))
"""


def offered(module: str) -> dict[str, list[str]]:
    """The classes and functions of a module of the stand-in, with their parameters."""
    tree = ast.parse((BINDINGS / Path(*module.split("."))).with_suffix(".py").read_text())
    return {
        node.name: [a.arg for a in node.args.args] if isinstance(node, ast.FunctionDef) else []
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }


def parameters_in(told: str) -> list[str]:
    """The parameters' names in the line that Cython writes of a function."""
    inside = told.splitlines()[0].partition("(")[2].rpartition(")")[0]
    return [part.partition("=")[0].split()[-1] for part in inside.split(",") if part.strip()]


def test_the_bindings_are_cupy_s():
    python = cupy_python()
    if python is None:
        if os.environ.get("CI"):
            pytest.fail("CuPy is not installed; ci/test.sh brings it")
        pytest.skip("CuPy is not installed here, nor does DEVTENSOR_CUPY_PYTHON name a Python that has it")
    paths = os.pathsep.join(filter(None, sys.path)) if python == sys.executable else ""
    done = subprocess.run(
        [python, "-c", LOOK], input=json.dumps(MODULES), capture_output=True, text=True, timeout=300,
        env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    for module in MODULES:
        for name, parameters in offered(module).items():
            assert name in theirs[module], f"{module}.{name}"
            if parameters:
                assert parameters_in(theirs[module][name]) == parameters, f"{module}.{name}"


def test_the_stand_in_offers_what_is_used():
    used = {
        "cuda.api.driver": {"launchKernel"},
        "cuda.libs.nvrtc": {"compileProgram", "getCUBIN"},
        "cuda.libs.nvtx": {"Mark", "RangeEnd", "RangePop", "RangePush", "RangeStart"},
    }
    assert all(names <= set(offered(module)) for module, names in used.items())
