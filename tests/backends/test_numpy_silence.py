"""What overflows says nothing, as PyTorch does: no warning comes from NumPy's own modules either."""

from __future__ import annotations

import subprocess
import sys
import warnings

import ml_dtypes
import numpy as np
import pytest

import devtensor as torch
from devtensor.backend import arraylib
from devtensor_numpy.half_bits import INFINITY, following

LARGE = 2e18
GENERIC = arraylib.kernels(np)


def overflowing_weight_gradient():
    g, x = np.full((64, 4, 4), LARGE, np.float32), np.full((64, 4, 6), 8 * LARGE, np.float32)
    return GENERIC["convolution_grad_weight"](g, x, (4, 4, 3), (1,), (0,), (1,), 1)


QUIET = {
    "the weight's gradient of a convolution": overflowing_weight_gradient,
    "a softmax's logarithms": lambda: GENERIC["log_softmax"](np.full((2, 3), np.inf, np.float32), 1),
    "the norm of a matrix": lambda: GENERIC["matrix_exp"](np.full((4, 4), 1e308)),
    "a spectrum": lambda: torch.fft.fft(torch.full((64,), 3e38)).numpy(),
    "singular values": lambda: torch.linalg.svdvals(torch.full((64, 64), 3e38)).numpy(),
}


@pytest.mark.parametrize("name", QUIET)
def test_an_overflow_is_not_told(name):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        # As the backend asks of every process.
        warnings.filterwarnings("ignore", module="devtensor", category=RuntimeWarning)
        found = QUIET[name]()
    assert not np.isfinite(found).all()
    assert [str(each.message) for each in told] == []


def test_a_half_step_that_overflows_prints_nothing():
    program = """
import devtensor as torch
x = torch.full((8, 1, 6, 6), 6e4, dtype=torch.float16)
model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Conv2d(2, 2, 3)).half()
out = model(x)
(out.float() * 6e4).sum().backward()
assert not all(p.grad.isfinite().all() for p in model.parameters())
"""
    command = [sys.executable, "-W", "always::RuntimeWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize(("name", "half"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)])
def test_the_neighbours_of_all_halves(name, half):
    every = np.arange(2**16, dtype=np.uint16).view(half)
    infinity = np.uint16(INFINITY[name])
    chosen = np.random.default_rng(0).integers(0, 2**16, 20).astype(np.uint16)
    ends = [0x0000, 0x8000, 0x0001, 0x8001, 0x7FFF, 0xFFFF, infinity, infinity | 0x8000, *chosen]
    for end in np.array(ends, np.uint16).view(half):
        found, target = following(every, np.asarray(end), infinity), np.full(every.shape, end, half)
        # Of two zeros the second is given, as in C.
        zeros = every.view(np.uint16) | target.view(np.uint16) | 0x8000
        with np.errstate(all="ignore"):
            wanted = np.where(zeros == 0x8000, target, np.nextafter(every, target))
            nowhere = np.isnan(found) & np.isnan(wanted)
        assert (nowhere | (found.view(np.uint16) == wanted.view(np.uint16))).all()


def test_neighbours_of_large_halves_that_broadcast():
    x = torch.linspace(-3, 3, 6000).to(torch.bfloat16).reshape(2, 3000)
    found = torch.nextafter(x, torch.tensor([[9.0], [-9.0]]).to(torch.bfloat16))
    assert found.shape == x.shape and bool((found[0] > x[0]).all()) and bool((found[1] < x[1]).all())
    back = torch.nextafter(found, x)
    assert torch.equal(back, x)
