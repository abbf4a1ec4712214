"""An installed CuPy without a device, beside NumPy and the stand-in: its views, and its choice of loops."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cuda.test_cupy_names import cupy_python

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def told_by(python: str, script: str, *paths: Path) -> Any:
    """What a script beside this file prints."""
    done = subprocess.run(
        [python, str(HERE / script)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def python() -> str:
    """A Python that has CuPy."""
    found = cupy_python()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CuPy is not installed; ci/test.sh brings it")
        pytest.skip("CuPy is not installed here, nor does DEVTENSOR_CUPY_PYTHON name a Python that has it")
    return found


def test_views_lie_as_numpy_s(python):
    agreed, differing = told_by(python, "views_of_cupy.py", ROOT)
    assert agreed > 8000 and differing == []


def test_the_stand_in_takes_the_loops_that_cupy_takes(python):
    wanted = told_by(python, "loops_of_cupy.py")
    found = told_by(sys.executable, "loops_of_cupy.py", ROOT / "tests" / "standin")
    assert len(wanted) > 15_000
    assert {name: loop for name, loop in found.items() if wanted[name] != loop} == {}
