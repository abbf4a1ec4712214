"""The commands in ci/ say plainly what keeps them from running."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OLD_PYTHON = """#!/bin/sh
case "$2" in
  *version_info*) exit 1 ;;
  *python_version*) echo 3.9.2 ;;
esac
"""
BARE_PYTHON = f"""#!/bin/sh
case "$2" in
  *ensurepip*) exit 1 ;;
  *) exec "{sys.executable}" "$@" ;;
esac
"""


def refused(script: str, **environment: str) -> str:
    """The last line of a command that must fail."""
    done = subprocess.run(
        ["bash", str(ROOT / "ci" / script)],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr.splitlines()[-1]


def executable(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("script", ["train.sh", "test.sh"])
def test_an_old_python_is_named(tmp_path, script):
    old = executable(tmp_path / "python with space", OLD_PYTHON)
    message = refused(script, DEVTENSOR_PYTHON=old, DEVTENSOR_ENV=str(tmp_path / "env"))
    assert message.startswith(f"ci/{script}: Python 3.11 or newer is needed; {old} is 3.9.2;")
    assert not (tmp_path / "env").exists()


def test_a_missing_python_is_told(tmp_path):
    message = refused("train.sh", DEVTENSOR_PYTHON="no-such-python", DEVTENSOR_ENV=str(tmp_path / "env"))
    assert "Python 3.11 or newer is needed; no Python was found" in message


def test_a_python_without_venv_is_told_what_to_install(tmp_path):
    bare = executable(tmp_path / "python3", BARE_PYTHON)
    message = refused("test.sh", DEVTENSOR_PYTHON=bare, DEVTENSOR_ENV=str(tmp_path / "env"))
    assert "has no venv and pip" in message
    assert "apt-get install python3-venv" in message


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    message = refused("train.sh", DEVTENSOR_ENV=str(tmp_path))
    assert "is no Python environment and is not empty" in message
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_offline_it_says_what_is_needed_and_how_to_go_on(tmp_path):
    links = tmp_path / "no wheels here"
    links.mkdir()
    message = refused(
        "train.sh",
        DEVTENSOR_PYTHON=sys.executable,
        DEVTENSOR_ENV=str(tmp_path / "env"),
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS=links.as_uri(),
    )
    assert "the package index could not be reached" in message
    assert "numpy>=2.0" in message
    assert "scikit-learn" in message
    assert "PIP_FIND_LINKS=" in message
    assert not (tmp_path / "env" / "devtensor.stamp").exists()
