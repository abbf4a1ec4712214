"""How an installed CuPy compiles its functions once the backend has asked it to keep subnormal numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cuda.test_cupy_names import cupy_python

ROOT = Path(__file__).parent.parent.parent
COMPILE = """
import json, sys
import cupy
from cupy.cuda import compiler

given = []

class Enough(Exception):
    pass

def note(source, options, *arguments, **named):
    given.append(list(options))
    raise Enough

compiler._compile_using_nvrtc_no_warning = note
compiler._preprocess = lambda *arguments: ""
compiler._get_nvrtc_version = lambda: (12, 9)
compiler._get_arch_for_options_for_nvrtc = lambda arch=None: ("-arch=sm_90", "cubin")
compiler.function.Module = object

def compile():
    try:
        compiler._compile_module_with_cache("source", ("--std=c++17",), arch="90", extra_source="")
    except Enough:
        pass

compile()
from devtensor_cupy import subnormals
told = subnormals.kept()
compile()
print(json.dumps([told, *given]))
"""


def test_the_option_that_flushes_is_left_out(tmp_path):
    python = cupy_python()
    if python is None:
        if os.environ.get("CI"):
            pytest.fail("CuPy is not installed; ci/test.sh brings it")
        pytest.skip("CuPy is not installed here, nor does DEVTENSOR_CUPY_PYTHON name a Python that has it")
    here = [str(ROOT), str(ROOT / "backends")]
    paths = os.pathsep.join([*here, *(filter(None, sys.path) if python == sys.executable else [])])
    done = subprocess.run(
        [python, "-c", COMPILE],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": paths, "CUPY_CACHE_DIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    told, before, after = json.loads(done.stdout)
    assert told
    assert before == ["--std=c++17", "-ftz=true"] and after == ["--std=c++17"]
