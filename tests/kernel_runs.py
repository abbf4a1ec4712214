"""Kernels run on each backend from NumPy arrays, and compared with float64 references."""

from __future__ import annotations

import numpy as np

import devtensor_numpy
from devtensor.backend import arraylib
from devtensor.testing import strict

FLOATS = ("float64", "float32", "float16", "bfloat16")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
TOLERANCE = {"float64": 2e-12, "float32": 3e-6, "float16": 2e-3, "bfloat16": 1.6e-2}
KINDS = arraylib.find_dtypes(np)
cpu = devtensor_numpy.backend


class Generic:
    """arraylib's kernels over NumPy, as a third party would use them."""

    kernels = arraylib.kernels(np)

    def wrap(self, x):
        return x

    def call(self, name, dtype, arguments):
        with np.errstate(all="ignore"):
            return arraylib.half_kernel(np, name, self.kernels[name], dtype)(*arguments)

    def unwrap(self, x):
        assert type(x) is np.ndarray
        return x


class Cpu(Generic):
    """The CPU's kernels, called as dispatch calls them."""

    kernels = cpu.kernels

    def call(self, name, dtype, arguments):
        kernel = cpu.specialise(name, self.kernels[name], dtype)
        try:
            return kernel(*arguments)
        except (FloatingPointError, RuntimeWarning):
            return cpu.rerun(kernel, arguments)


class Strict(Generic):
    """The strict backend, which checks every call."""

    def wrap(self, x):
        return strict.StrictArray(x)

    def call(self, name, dtype, arguments):
        kernel = strict.backend.specialise(name, strict.backend.kernels[name], dtype)
        return kernel(*arguments)

    def unwrap(self, x):
        assert type(x) is strict.StrictArray
        return x.held


LIBRARIES = {"generic": Generic(), "cpu": Cpu(), "strict": Strict()}


def run_on(library, name, *arguments):
    """A kernel of one of the libraries, with NumPy arrays in and out."""
    floating = [x.dtype.name for x in arguments if isinstance(x, np.ndarray) and x.dtype.name in FLOATS]
    dtype = floating[0] if floating else "int64"
    given = [library.wrap(x) if isinstance(x, np.ndarray) else x for x in arguments]
    result = library.call(name, dtype, tuple(given))
    return tuple(map(library.unwrap, result)) if isinstance(result, tuple) else library.unwrap(result)


def first(x):
    """The first value as a 0-d array."""
    return x.reshape(-1)[:1].reshape(())


def layouts(x):
    """The same values laid out in several ways, and the degenerate shapes."""
    yield x
    yield np.asfortranarray(x)
    yield x[::-1, ::-2]
    yield np.broadcast_to(x[:1], x.shape)
    yield first(x)
    yield x[:0]


def draw(shape, dtype="float64", low=-2.0, high=2.0, seed=0):
    """Random numbers in [low, high)."""
    values = np.asarray(np.random.default_rng(seed).uniform(low, high, shape))
    return values.astype(KINDS[dtype])


def close(result, expected, dtype, scale=1.0):
    """Compare with a float64 reference at the dtype's tolerance."""
    assert result.dtype.name == dtype
    assert result.shape == np.shape(expected)
    limit = scale * TOLERANCE[dtype]
    np.testing.assert_allclose(result.astype(np.float64), expected, rtol=limit, atol=limit)
