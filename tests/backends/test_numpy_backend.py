"""What is the CPU backend's own: its members, silence, exact half types."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from devtensor.backend.arraylib.elementwise import BINARY
from devtensor.backend.protocol import DTYPES, Backend
from devtensor.core.op import OPS
from kernel_runs import FLOATS, KINDS, LIBRARIES, cpu


def test_the_cpu_is_a_backend():
    generic = LIBRARIES["generic"].kernels.keys()
    assert isinstance(cpu, Backend) and generic <= cpu.kernels.keys()
    assert all(OPS[name].composite for name in cpu.kernels.keys() - generic)
    assert cpu.device_count() == 1 and cpu.memory(0).allocated > 0 and "NumPy" in cpu.describe()
    with cpu.on(0):
        cpu.synchronize(0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 2), (3, 2)])
def test_upload_and_download(dtype, shape):
    content = np.arange(int(np.prod(shape))).reshape(shape).astype(KINDS[dtype])
    held = cpu.upload(memoryview(content.tobytes()), shape, dtype, 0)
    assert held.flags.writeable and cpu.dtype_of(held) == dtype and np.array_equal(held, content)
    view = cpu.download(held.T)
    assert view.format == "B" and bytes(view) == content.T.tobytes()


def test_adopt():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.shares_memory(cpu.adopt(x), x) and cpu.strides_of(cpu.adopt(x.T)) == (1, 3)
    records = np.zeros(3, [("a", np.float32), ("b", np.int8)])
    for bad in (
        x.astype(">f4"),
        x.astype(np.longdouble),
        np.array(["a"]),
        records["a"],
        [1.0],
        np.float32(1),
    ):
        with pytest.raises(TypeError, match="adopt"):
            cpu.adopt(bad)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", sorted(cpu.out_kernels - {"index_put"}))
def test_kernels_write_into_a_given_array(name, dtype):
    boolean = name.startswith("logical") or name in (
        "isnan",
        "isinf",
        "isfinite",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
    )
    integer = name.startswith("bitwise") or name == "gcd"
    x = np.array([[1, 2], [1, 1]]).astype(np.int64 if integer else KINDS[dtype])
    arguments = (x, x) if name in BINARY else (x,)
    kernel = cpu.specialise(name, cpu.kernels[name], dtype)
    with np.errstate(all="ignore"):
        expected = kernel(*arguments).astype(float)
        for by_keyword in (False, True):
            target = np.zeros((2, 2), np.bool_ if boolean else x.dtype)
            result = kernel(*arguments, out=target) if by_keyword else kernel(*arguments, target)
            assert result is target
            assert np.array_equal(target.astype(float), expected, equal_nan=True)


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_specialised_kernels_are_ufuncs_where_no_input_is_scalar(dtype):
    kernel = cpu.specialise("add", cpu.kernels["add"], dtype, False)
    assert kernel is np.add
    division = cpu.specialise("floor_divide", cpu.kernels["floor_divide"], dtype, False)
    assert (division is np.floor_divide) == (dtype == "float32")


SILENT = """
import warnings
import numpy as np
import devtensor
from devtensor_numpy import backend
K, f = backend.kernels, np.float32
x = np.array([-1, 0, 1, np.inf, -np.inf, np.nan, 3e38], f)
for name in "log sqrt reciprocal exp acosh atanh lgamma digamma erfinv sigmoid rsqrt square".split():
    K[name](x)
for name in ("div", "add", "sub", "mul", "pow", "remainder", "fmod", "floor_divide", "hypot"):
    K[name](x, np.zeros((), f))
    K[name](x, x[::-1])
for name in ("sum", "prod", "amax", "amin"):
    K[name](x, (0,), False)
K["cumsum"](x, 0), K["softmax"](x, 0), K["log_softmax"](x, 0)
K["cast"](x, "int32"), K["cast"](x, "float16"), K["full"]((2,), 1e9, "float16")
big = np.full(100000, 1e9, f)
K["cast"](big, "float16"), K["erfinv"](big), K["matmul"](big, big)
h = x.astype(np.float64).clip(-1e4, 1e4).astype(np.float16)
for name in ("exp", "log"):
    backend.specialise(name, K[name], "float16")(h)
assert np.geterr() == {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    np.log(x)
assert seen, "the user's own NumPy must still warn"
print("silent")
"""


@pytest.mark.parametrize("arguments", [["-W", "error"], ["-W", "always"], []])
def test_kernels_never_warn(arguments):
    command = [sys.executable, *arguments, "-c", SILENT]
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ | paths)
    assert (done.stdout.strip(), done.stderr) == ("silent", "")


def test_kernels_run_again_where_the_user_traps_floating_point_events():
    x = np.array([0.0, -1.0])
    with np.errstate(all="raise"):
        with pytest.raises(FloatingPointError):
            cpu.kernels["log"](x)
        result = cpu.rerun(cpu.kernels["log"], (x,))
        assert np.geterr()["divide"] == "raise"
    assert result[0] == -np.inf and np.isnan(result[1])


def test_float16_conversion_is_exact():
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    wide = np.concatenate([every.astype(np.float32)] * 2)
    assert cpu.kernels["cast"](np.concatenate([every] * 2), "float32").tobytes() == wide.tobytes()
    finite = np.sort(wide[np.isfinite(wide)])
    middles = (finite[:-1] + finite[1:]) / 2
    around = [
        f(m, np.float32(s))
        for m in (finite, middles)
        for f, s in ((np.nextafter, np.inf), (np.nextafter, -9e9))
    ]
    hard = np.concatenate([finite, middles, *around])
    hard = np.concatenate([hard[np.abs(hard) < 65520]] * 3)
    for ends in ([], [np.inf, -np.inf, np.nan, 65519.996, 65520, 1e30]):
        x = np.append(hard, np.array(ends)).astype(np.float32)
        with np.errstate(all="ignore"):
            expected = x.astype(np.float16)
            assert cpu.kernels["cast"](x, "float16").tobytes() == expected.tobytes()


@pytest.mark.parametrize("size", [3, 10000])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_writing_into_an_input_is_done_once_whatever_is_trapped(size, dtype):
    kernel = cpu.specialise("add", cpu.kernels["add"], dtype)
    huge = np.finfo(dtype).max
    x = np.full(size, huge, dtype)
    x[0] = 1
    with np.errstate(all="raise"):
        try:
            kernel(x, x, x)
        except FloatingPointError:
            cpu.rerun(kernel, (x, x, x))
    assert x[0] == 2 and np.isinf(x[1:]).all()
