"""Where CuPy's functions give other numbers than NumPy's: the device's ops give PyTorch's all the same."""

from __future__ import annotations

import math
import warnings
from itertools import product

import cupy
import ml_dtypes
import numpy as np
import pytest
from cupy.cuda import compiler

import devtensor as torch
from devtensor_cupy import subnormals

INTEGERS = ("int8", "int16", "int32", "int64", "uint8")
FLOATS = ("float16", "float32", "float64")
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.1, -0.1, 0.3, 5.0, -7.5, math.inf, -math.inf, math.nan]
LARGE = 2**53 + 1
DIVISIONS = {
    "floor_divide": np.floor_divide,
    "remainder": np.remainder,
    "fmod": np.fmod,
}


def on_device(values, dtype: str) -> torch.Tensor:
    return torch.tensor(np.array(values, dtype)).cuda()


def reference(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The exact result, rounded once."""
    wide = np.float32 if x.dtype == np.float16 else x.dtype
    with np.errstate(all="ignore"):
        return DIVISIONS[name](x.astype(wide), y.astype(wide)).astype(x.dtype)


@pytest.mark.parametrize("name", DIVISIONS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_quotients_and_remainders_of_floats(name, dtype):
    pairs = np.array(list(product(SPECIAL, SPECIAL)), dtype)
    x, y = pairs.T.copy()
    found = getattr(torch, name)(on_device(x, dtype), on_device(y, dtype))
    np.testing.assert_array_equal(found.cpu().numpy(), reference(name, x, y))
    zeros = found.cpu().numpy() == 0
    signs = np.signbit(reference(name, x, y))
    if name != "remainder":
        np.testing.assert_array_equal(np.signbit(found.cpu().numpy())[zeros], signs[zeros])


@pytest.mark.parametrize("name", DIVISIONS)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_quotients_and_remainders_of_integers(name, dtype):
    high = np.iinfo(dtype).max
    values = [1, 2, 3, 7, high, high - 1, high - 2, *([-1, -3, -7, -high] if dtype[0] == "i" else [])]
    if dtype == "int64":
        values += [LARGE, -LARGE]
    x, y = np.array(list(product(values, values)), dtype).T.copy()
    found = getattr(torch, name)(on_device(x, dtype), on_device(y, dtype))
    np.testing.assert_array_equal(found.cpu().numpy(), reference(name, x, y))


def test_a_number_beside_halves_divides_in_float32():
    x = on_device([1.0, 7.0, -3.0], "float16")
    wanted = np.floor_divide(np.array([1, 7, -3], np.float32), np.float32(0.1)).astype(np.float16)
    np.testing.assert_array_equal(torch.floor_divide(x, 0.1).cpu().numpy(), wanted)


def test_zeros_keep_their_sign():
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        assert torch.full((2,), -0.0, dtype=dtype, device="cuda").signbit().all()
    assert not torch.full((2,), 0.0, device="cuda").signbit().any()
    assert torch.full((2,), -0.0, dtype=torch.int64, device="cuda").tolist() == [0, 0]
    x = torch.ones(2, device="cuda")
    assert torch.copysign(x, -0.0).tolist() == [-1.0, -1.0]


@pytest.mark.parametrize("dtype", [*FLOATS, "complex64"])
def test_negative_numbers_become_bytes_by_their_last_bits(dtype):
    x = on_device([-1.0, 300.0, -300.5, 2.5], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert x.to(torch.uint8).tolist() == [255, 44, 212, 2]
        assert x.to(torch.bfloat16).to(torch.uint8).tolist() == [255, 44, 212, 2]


def test_subnormal_numbers_are_not_flushed():
    x = on_device([1e-40, -1e-40], "float32")
    assert (x != 0).all() and (x * 2).cpu().tolist() == (x.cpu() * 2).tolist()
    np.testing.assert_allclose(x.abs().sqrt().cpu().numpy(), np.sqrt(np.float32(1e-40)), rtol=1e-6)


def test_cupy_as_it_stands_flushes_them(monkeypatch):
    """What the two functions of the stand-in's compiler are worth: without ours the numbers are gone."""

    def plain(source, options):
        options += (subnormals.FLUSH,)
        return options

    monkeypatch.setattr(compiler, subnormals.COMPILE, plain)
    assert (on_device([1e-40], "float32") == 0).all()
    assert subnormals.kept() and subnormals.kept()
    assert (on_device([1e-40], "float32") != 0).all()
    assert compiler.options_of("x") == ()
    monkeypatch.delattr(compiler, subnormals.COMPILE)
    assert not subnormals.kept()


def test_other_options_of_the_compiler_stay():
    options = subnormals.Options(("--std=c++17",))
    options += (subnormals.FLUSH, "-I/there")
    options += ("-arch=sm_90",)
    assert options == ("--std=c++17", "-I/there", "-arch=sm_90")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_half_row_times_a_column_is_summed_in_float32(dtype):
    x = torch.full((1, 8), 256.0, dtype=dtype, device="cuda")
    y = torch.cat([x, -x], 1) @ torch.cat([x, x], 1).T
    assert y.tolist() == [[0.0]] and y.dtype is dtype
    ones = torch.full((4,), 1 + 2**-7, dtype=dtype, device="cuda")
    exact = 4 * (1 + 2**-7) ** 2
    assert (ones @ ones).item() == torch.tensor(exact, dtype=dtype).item()
    assert (ones.reshape(1, 4) @ ones.reshape(4, 1)).item() == torch.tensor(exact, dtype=dtype).item()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_the_first_of_several_nan_is_the_extreme(name, dtype):
    x = np.arange(24.0).reshape(4, 6).astype(dtype)
    x[1, [2, 4]] = x[2, 5] = x[3, :] = np.nan
    for dim in (0, 1):
        for keepdim in (False, True):
            found = getattr(torch, name)(on_device(x, dtype), dim, keepdim=keepdim)
            wanted = getattr(np, name)(x, axis=dim, keepdims=keepdim)
            np.testing.assert_array_equal(found.cpu().numpy(), wanted)
    assert getattr(torch, name)(on_device(x, dtype)).item() == getattr(np, name)(x)
    assert torch.max(on_device(x, dtype), 1).indices.tolist() == np.argmax(x, 1).tolist()


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_with_a_sign_is_sorted_like_any_other(dtype):
    x = np.array([3.0, -np.nan, 1.0, np.nan, 2.0], dtype)
    assert np.signbit(x[1])
    values, order = torch.sort(on_device(x, dtype))
    assert order.tolist() == [2, 4, 0, 1, 3] and values[:3].tolist() == [1.0, 2.0, 3.0]
    assert torch.argsort(on_device(x, dtype), descending=True, stable=True).tolist() == [1, 3, 0, 4, 2]
    assert torch.unique(on_device(x, dtype))[:3].tolist() == [1.0, 2.0, 3.0]


def test_equations_without_sides_and_with_batches_that_broadcast():
    a = on_device(np.random.default_rng(0).normal(size=(2, 3, 3)) + 4 * np.eye(3), "float64")
    for batch in ((2,), ()):
        sides = torch.zeros(*batch, 3, 0, dtype=torch.float64, device="cuda")
        assert torch.linalg.solve(a, sides.expand(2, 3, 0)).shape == (2, 3, 0)
        assert torch.linalg.solve_triangular(a, sides, upper=True).shape == (2, 3, 0)
    b = on_device(np.arange(6.0).reshape(3, 2), "float64")
    found = torch.linalg.solve_triangular(a, b, upper=False).cpu().numpy()
    np.testing.assert_allclose(np.tril(a.cpu().numpy()) @ found, np.broadcast_to(b.cpu().numpy(), (2, 3, 2)))


def test_transforms_of_an_empty_batch():
    x = torch.zeros(0, 4, 6, device="cuda")
    spectrum = torch.fft.rfft2(x)
    assert spectrum.shape == (0, 4, 4) and spectrum.dtype is torch.complex64
    assert torch.fft.fft2(x).shape == (0, 4, 6)
    back = torch.fft.irfft2(spectrum.to(torch.complex128))
    assert back.shape == (0, 4, 6) and back.dtype is torch.float64


def test_python_floats_beside_bfloat16_widen_in_cupy():
    """NumPy promotes a float and bfloat16 to float64; CuPy then computes in float32, and so the stand-in."""
    x = cupy.zeros(2, ml_dtypes.bfloat16)
    assert (x * 2).dtype.name == "bfloat16" and (x * 2.0).dtype.name == "float32"
