"""Which dtype results have, and what becomes of Python's numbers."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest

import devtensor
import devtensor.backend
from devtensor.core.dtype import COMMON, DTYPES
from devtensor.ops.compare import where
from devtensor.ops.elementwise import add
from devtensor.testing import to_numpy

# Row by column, in the order of COMPUTED: what PyTorch 2.13 gives for tensors with dimensions.
COMPUTED = [d.name for d in COMMON] + ["complex64", "complex128"]
LATTICE = """
  b8   u8   i8  i16  i32  i64  f16 bf16  f32  f64  c64 c128
  u8   u8  i16  i16  i32  i64  f16 bf16  f32  f64  c64 c128
  i8  i16   i8  i16  i32  i64  f16 bf16  f32  f64  c64 c128
 i16  i16  i16  i16  i32  i64  f16 bf16  f32  f64  c64 c128
 i32  i32  i32  i32  i32  i64  f16 bf16  f32  f64  c64 c128
 i64  i64  i64  i64  i64  i64  f16 bf16  f32  f64  c64 c128
 f16  f16  f16  f16  f16  f16  f16  f32  f32  f64  c64 c128
bf16 bf16 bf16 bf16 bf16 bf16  f32 bf16  f32  f64  c64 c128
 f32  f32  f32  f32  f32  f32  f32  f32  f32  f64  c64 c128
 f64  f64  f64  f64  f64  f64  f64  f64  f64  f64 c128 c128
 c64  c64  c64  c64  c64  c64  c64  c64  c64 c128  c64 c128
c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128
"""
PAIRS = [
    (a, b, wanted)
    for a, row in zip(COMPUTED, LATTICE.split("\n")[1:-1], strict=True)
    for b, wanted in zip(COMPUTED, row.split(), strict=True)
]


@pytest.mark.parametrize(("a", "b", "wanted"), PAIRS)
def test_promotion_of_two_tensors(a, b, wanted):
    x, y = devtensor.ones(2, dtype=a), devtensor.ones(2, dtype=b)
    assert add(x, y).dtype.short == wanted
    assert add(x, y.view(1, 2)).dtype.short == wanted
    higher = DTYPES[b].category > DTYPES[a].category
    widened = DTYPES[b] if higher else DTYPES[a]
    if higher and x.dtype.is_floating_point:
        widened = x.dtype.to_complex()
    assert add(x, y[0]).dtype is widened, "without dimensions, only a higher category widens"


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
def test_promotion_of_wide_unsigned_integers(dtype):
    x = devtensor.ones(2, dtype=dtype)
    assert add(x, devtensor.ones(2, dtype="uint8")).dtype is x.dtype
    assert add(x, devtensor.ones(2, dtype="float32")).dtype is devtensor.float32
    signed = devtensor.ones(2, dtype="int8")
    if dtype == "uint64":
        with pytest.raises(RuntimeError, match="no integer dtype holds both"):
            add(x, signed)
    else:
        assert add(x, signed).dtype.bits == 2 * x.dtype.bits


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
def test_dtypes_for_storage_only(dtype):
    x = devtensor.tensor([1.0, -2.5, 0.3]).to(getattr(devtensor, dtype))
    assert x.element_size() == 1 and x.float().tolist()[:2] == [1.0, -2.5]
    assert x[1:].float().tolist() == x.float()[1:].tolist()
    with pytest.raises(RuntimeError, match=f"add.*not implemented for {dtype}"):
        add(x, x)


def test_complex_numbers_where_they_have_no_meaning():
    x = devtensor.ones(2, dtype="complex64")
    with pytest.raises(RuntimeError, match=r"maximum.*not implemented for complex64"):
        devtensor.maximum(x, x)
    assert add(devtensor.ones(2, dtype="float64"), 1j).dtype is devtensor.complex128
    assert add(devtensor.ones(2), 1j).dtype is devtensor.complex64


@pytest.mark.parametrize("dtype", COMPUTED)
@pytest.mark.parametrize("number", [True, 2, 2.5])
@pytest.mark.parametrize("shape", [(2,), ()])
def test_promotion_with_a_number(dtype, number, shape):
    category = {bool: 0, int: 1, float: 2}[type(number)]
    default = {0: "bool", 1: "int64", 2: "float32"}[category]
    wanted = default if category > DTYPES[dtype].category else dtype
    x = devtensor.ones(shape, dtype=dtype)
    assert add(x, number).dtype.name == add(number, x).dtype.name == wanted


def test_a_tensor_without_dimensions_meets_one_with():
    assert add(devtensor.ones(2), devtensor.ones((), dtype="float64")).dtype is devtensor.float32
    assert add(devtensor.ones(2, dtype="int8"), devtensor.ones((), dtype="int64")).dtype is devtensor.int8
    assert (
        add(devtensor.ones(2, dtype="int8"), devtensor.ones((), dtype="float16")).dtype is devtensor.float16
    )


def test_the_default_dtype_decides_for_numbers():
    before = devtensor.get_default_dtype()
    try:
        x = devtensor.ones(2, dtype="int64")
        assert add(x, 1.5).dtype is devtensor.float32
        devtensor.set_default_dtype(devtensor.float64)
        assert add(x, 1.5).dtype is devtensor.float64
        assert (x / x).dtype is devtensor.float64
    finally:
        devtensor.set_default_dtype(before)
    assert add(devtensor.ones(2, dtype="int64"), 1.5).dtype is devtensor.float32


@pytest.mark.parametrize(
    "number", [0.0, -0.0, 1, True, 1.0, math.inf, -math.inf, math.nan, 1e-320, 2**53 + 1]
)
def test_numbers_arrive_as_they_are(number):
    x = devtensor.zeros(1, dtype="float64")
    for _ in range(3):
        found = to_numpy(where(devtensor.tensor([False]), x, number))
        np.testing.assert_array_equal(found, np.array([number], np.float64))
        assert math.copysign(1, found[0]) == math.copysign(1, number)


def test_negative_zero_is_not_taken_from_the_memory_of_zero():
    x = devtensor.ones(2)
    assert to_numpy(x / 0.0).tolist() == [math.inf] * 2
    assert to_numpy(x / -0.0).tolist() == [-math.inf] * 2
    assert to_numpy(x / 0.0).tolist() == [math.inf] * 2


@pytest.mark.parametrize("name", ["mul", "add", "sub", "eq", "lt"])
def test_integers_out_of_range_wrap_as_they_do_in_pytorch(name):
    x = devtensor.tensor([1, 200], dtype="uint8")
    found = to_numpy(getattr(x, name)(-2))
    wanted = getattr(operator, name)(np.array([1, 200], np.uint8), np.array(-2).astype(np.uint8))
    assert found.tolist() == wanted.tolist()
