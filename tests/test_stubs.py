"""The stub of Tensor's methods is what the generator writes today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_stubs_are_fresh():
    found = subprocess.run(
        [sys.executable, str(ROOT / "ci" / "gen_stubs.py"), "--check"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'backends'}", "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
