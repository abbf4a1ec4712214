"""A child of a fork, and faults that come late."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import devtensor as torch
from devtensor_cupy.launching import launcher

DEBUG = """
import devtensor as torch
from cupy._machine import faults
x = torch.ones(2, 3, device="cuda")
faults.pending = "cudaErrorIllegalAddress"
try:
    torch.sin(x)
except RuntimeError as error:
    print(error)
"""


HELD = """
import os, sys
import devtensor as torch
x = torch.ones(2, 3, device="cuda", requires_grad=True)
y = (x.softmax(-1) * 2).sum()
pinned = torch.ones(3).pin_memory()
moved = pinned.to("cuda", non_blocking=True)
side = torch.cuda.Stream()
x.record_stream(side)
side.record_event()
# Modules that are held are emptied, those imported last before all others.
os.kept, sys.kept = (x, y, moved), list(sys.modules.values())
"""


def in_child(action) -> str:
    """What an action gives, or the error it raises, in a forked child."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            told = str(action())
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
        os.write(write, told.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()


@pytest.fixture
def x():
    x = torch.ones(3, device="cuda")
    x + x
    return x


@pytest.mark.parametrize(
    "touch",
    [lambda x: x + x, lambda x: x.tolist(), lambda x: torch.ones(2).cuda(), lambda x: torch.cuda.Stream(),
     lambda x: torch.cuda.synchronize(), lambda x: torch.cuda.current_device()],
    ids=["op", "read", "new", "stream", "synchronize", "current"],
)  # fmt: skip
def test_a_forked_child_is_told_when_it_touches_cuda(x, touch):
    told = in_child(lambda: touch(x))
    assert "Error" in told.split(":")[0] or "Missing" in told.split(":")[0]
    assert "Cannot re-initialize CUDA in forked subprocess" in told and "'spawn'" in told


def test_a_forked_child_computes_on_the_cpu_and_asks_questions(x):
    assert in_child(lambda: (torch.ones(3) + 1).sum().item()) == "6.0"
    assert in_child(torch.cuda.is_available) == "False"
    assert in_child(lambda: torch.manual_seed(3) and torch.rand(2).shape) == "devtensor.Size([2])"
    assert (x + 1).tolist() == [2.0] * 3


def test_a_forked_child_frees_nothing_that_it_inherited(x):
    side, event = torch.cuda.Stream(), torch.cuda.Event()
    event.record(side)
    backend = torch.device("cuda:0").backend

    def kept() -> int:
        return sum(made in backend.forks.immortal for made in (side.native, event.native))

    assert in_child(kept) == "2"


@pytest.mark.usefixtures("compiler")
def test_a_forked_child_keeps_the_modules_of_a_parent_without_optimizers(x, monkeypatch):
    backend = torch.device("cuda:0").backend
    monkeypatch.delitem(backend.__dict__, "lists", raising=False)
    torch.nn.functional.gelu(x)

    def kept() -> bool:
        loaded = launcher.loaded[0, "gelu_float32"]
        return loaded is not None and loaded in backend.forks.immortal

    assert in_child(kept) == "True"


def test_a_forked_child_asks_no_stream_about_memory(x):
    side = torch.cuda.Stream()
    held = [torch.ones(4, device="cuda")]
    held[0].record_stream(side)
    backend = torch.device("cuda:0").backend

    def freed() -> int:
        held.clear()
        return len(backend.accounts.waiting) + len(backend.accounts.used_by)

    assert in_child(freed) == "0"
    held.clear()
    assert len(backend.accounts.waiting) == 1


def run(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | variables
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)


@pytest.mark.usefixtures("compiler")
def test_a_program_that_ends_with_tensors_says_nothing_of_them():
    done = run(HELD)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("debug", "told"), [("1", True), ("", False)])
def test_the_debug_switch_names_the_op_and_the_line(debug, told):
    done = run(DEBUG, DEVTENSOR_DEBUG=debug)
    assert done.returncode == 0, done.stderr
    if not told:
        assert not done.stdout
        return
    assert done.stdout.startswith("[sin] the device reports cudaErrorIllegalAddress")
    assert "inputs float32[2, 3]" in done.stdout
