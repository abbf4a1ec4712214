"""Random numbers: the CPU's very bits, by one launch of our own."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor_cupy.launching import launcher

pytestmark = pytest.mark.usefixtures("compiler")

DTYPES = torch.float64, torch.float32, torch.float16, torch.bfloat16
SHAPES = (), (1,), (2, 0), (3,), (7, 19)


def drawn(device, dtype) -> list:
    """Numbers one after the other, so that most begin inside a block of words."""
    generator = torch.Generator(device).manual_seed(2**40 + 7)
    return [torch.rand(shape, generator=generator, device=device, dtype=dtype) for shape in SHAPES]


@pytest.mark.parametrize("dtype", DTYPES)
def test_uniform_numbers_have_the_bits_of_the_cpu_s(dtype, counts):
    found, wanted = drawn("cuda", dtype), drawn("cpu", dtype)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype is dtype and ours.shape == theirs.shape and ours.cpu().equal(theirs)
    name = str(dtype).removeprefix("devtensor.")
    assert counts[f"kernel philox_uniform_{name}"] == counts["kernels"] == len(SHAPES) - 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_without_a_compiler_the_bits_are_the_same(dtype, monkeypatch, counts):
    monkeypatch.setattr(launcher, "kernels", lambda entry: None)
    for ours, theirs in zip(drawn("cuda", dtype), drawn("cpu", dtype), strict=True):
        assert ours.cpu().equal(theirs)
    assert counts["kernels"] == 0


def test_dropout_is_seven_launches(counts):
    x = torch.ones(64, 64, device="cuda")
    torch.nn.functional.dropout(x, 0.25)
    counts.clear()
    kept = torch.nn.functional.dropout(x, 0.25)
    assert (counts["launches"], counts["kernels"]) == (7, 1)
    assert sorted(kept.unique().tolist()) == [0.0, pytest.approx(4 / 3)]
