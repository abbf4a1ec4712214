"""What is told of forks, of faults by the op, and of devices: by the parts that tell it."""

from __future__ import annotations

import math
import os

import cupy
import numpy as np
import pytest

import devtensor as torch
from devtensor.core.errors import DeviceError
from devtensor_cupy.compile import cupy_runtime
from devtensor_cupy.process import Forks, watched


def test_children_are_told_once(monkeypatch):
    asked = []
    monkeypatch.setattr(os, "register_at_fork", lambda **hooks: asked.append(hooks))
    forks = Forks()
    for _ in range(2):
        forks.begin(lambda: ["a stream"])
    assert len(asked) == 1 and not forks.forked
    monkeypatch.setattr("devtensor.backend.registry.door.tell", lambda name: None)
    asked[0]["after_in_child"]()
    assert forks.forked and forks.immortal == ["a stream"]


ARRAY = np.zeros((2, 3), np.float32)
GIVEN = {
    "an array": ((ARRAY,), "float32[2, 3]"),
    "a number": ((ARRAY, 2.5, None), "float32[2, 3], 2.5, None"),
    "a list": (([ARRAY, ARRAY],), "2 x (float32[2, 3])"),
    "a list of several kinds": (
        ([ARRAY, ARRAY[0].astype(np.int64), ARRAY], 1), "3 x (float32[2, 3], int64[3]), 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", GIVEN)
def test_a_fault_is_told_with_what_the_op_was_given(what):
    from cupy._machine import faults

    arguments, told = GIVEN[what]

    def kernel(*arguments, **named):
        faults.pending = "cudaErrorIllegalAddress" if named["fails"] else None
        return "made"

    watching = watched("some_op", kernel, cupy)
    assert watching(*arguments, fails=False) == "made"
    with pytest.raises(DeviceError) as error:
        watching(*arguments, fails=True)
    assert str(error.value).startswith("[some_op] the device reports cudaErrorIllegalAddress")
    assert f'; inputs {told}; File "{__file__}"' in str(error.value)


def test_kernels_that_wait_are_given_what_they_are_named():
    told_of = torch.device("cuda:0").backend.waits.told_of
    assert told_of("nonzero", lambda *given, **named: (given, named))(1, size=2) == ((1,), {"size": 2})


def test_what_a_device_does_not_tell_is_left_out(monkeypatch):
    monkeypatch.setattr(
        cupy.cuda.runtime, "getDeviceProperties", lambda index: {"name": b"Old", "major": index}
    )
    assert torch.device("cuda:0").backend.properties(3) == {"name": "Old", "major": 3}


def test_who_reads_whose_memory(monkeypatch):
    asked = []
    monkeypatch.setattr(cupy.cuda.runtime, "deviceCanAccessPeer", lambda *pair: asked.append(pair) or 1)
    assert torch.cuda.can_device_access_peer(0, 1) is True and asked == [(0, 1)]


def test_a_device_that_cannot_be_used_says_why(monkeypatch):
    backend = torch.device("cuda:0").backend
    told = backend.describe()
    assert told == {"CuPy": cupy.__version__, "CUDA": "12090", "devices": "Stand-in, Stand-in"}
    monkeypatch.setattr(backend.forks, "forked", True)
    assert list(backend.describe()) == ["CuPy"] and "spawn" in backend.describe()["CuPy"]


@pytest.mark.usefixtures("compiler")
def test_arguments_lie_where_those_before_did_unless_these_are_about_to_be_read(monkeypatch):
    x, places = torch.ones(4, device="cuda"), []
    start = cupy_runtime.Kernels.start

    def heard(kernels, entry, blocks, arguments, stream):
        places.append(id(arguments))
        if len(places) == 2:
            torch.nn.functional.silu(x * 3)
        return start(kernels, entry, blocks, arguments, stream)

    monkeypatch.setattr(cupy_runtime.Kernels, "start", heard)
    found = [torch.nn.functional.silu(x * number).tolist()[0] for number in (1.0, 2.0, 4.0)]
    assert found == pytest.approx([number / (1 + math.exp(-number)) for number in (1, 2, 4)])
    assert places[0] == places[1] != places[2] and len(places) == 4
