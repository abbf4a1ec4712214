"""devtensor.testing.assert_close: what passes, what does not, and what the error says."""

from __future__ import annotations

import math

import numpy as np
import pytest

import devtensor
from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.testing import assert_allclose, assert_close, make_tensor, to_numpy


def test_tolerances_follow_the_dtype():
    for dtype, rtol in (("float16", 1e-3), ("bfloat16", 1.6e-2), ("float32", 1.3e-6), ("float64", 1e-7)):
        one = devtensor.tensor([1000.0], dtype=dtype)
        wide = one.to(devtensor.float64)
        assert_close(wide * (1 + rtol * 0.9), one, check_dtype=False)
        with pytest.raises(AssertionError, match="not close"):
            assert_close(wide * (1 + rtol * 1.2) + 2e-5, one, check_dtype=False)


def test_integers_and_bools_must_be_equal():
    assert_close(devtensor.tensor([1, 2]), devtensor.tensor([1, 2]))
    assert_close(devtensor.tensor([True]), devtensor.tensor([True]))
    for a, b in (([1, 2], [1, 3]), ([True], [False]), ([2**62], [2**62 + 1])):
        with pytest.raises(AssertionError, match=r"are not equal!\n\nMismatched elements: 1 / ."):
            assert_close(devtensor.tensor(a), devtensor.tensor(b))


def test_the_error_says_how_many_and_where():
    a, b = devtensor.zeros(2, 3), devtensor.zeros(2, 3)
    b[1, 2], b[0, 1] = 5.0, 1.0
    with pytest.raises(AssertionError) as caught:
        assert_close(a, b)
    assert str(caught.value) == (
        "Tensor-likes are not close!\n\nMismatched elements: 2 / 6 (33.3%)\n"
        "Greatest absolute difference: 5.0 at index (1, 2) (up to 1e-05 allowed)\n"
        "Greatest relative difference: 1.0 at index (0, 1) (up to 1.3e-06 allowed)"
    )


def test_nan_and_infinity():
    nan, inf = devtensor.tensor([math.nan]), devtensor.tensor([math.inf])
    with pytest.raises(AssertionError):
        assert_close(nan, nan)
    assert_close(nan, nan, equal_nan=True)
    assert_close(inf, inf)
    for other in (-inf, nan, devtensor.tensor([1e38])):
        with pytest.raises(AssertionError):
            assert_close(inf, other, equal_nan=True)


def test_shapes_dtypes_devices_and_strides():
    a = devtensor.ones(2, 3)
    with pytest.raises(AssertionError, match=r"attribute 'shape' do not match: .*2, 3.*3, 2"):
        assert_close(a, devtensor.ones(3, 2))
    with pytest.raises(AssertionError, match=r"'dtype' do not match: devtensor.float32 != devtensor.float64"):
        assert_close(a, a.double())
    assert_close(a, a.double(), check_dtype=False)
    with pytest.raises(AssertionError, match=r"attribute 'device' do not match"):
        assert_close(a, devtensor.ones(2, 3, device="strict"))
    assert_close(a, devtensor.ones(2, 3, device="strict"), check_device=False)
    with pytest.raises(AssertionError, match=r"'stride\(\)' do not match: \(3, 1\) != \(1, 2\)"):
        assert_close(a, devtensor.ones(3, 2).t(), check_stride=True)


def test_nested_and_plain_values():
    assert_close({"a": [devtensor.ones(2), 1.0]}, {"a": [devtensor.ones(2), 1.0]})
    assert_close(np.ones(2), np.ones(2) + 1e-9)
    with pytest.raises(AssertionError, match=r"item \['a'\]\[1\]"):
        assert_close({"a": [devtensor.ones(2), 1.0]}, {"a": [devtensor.ones(2), 2.0]})
    with pytest.raises(AssertionError, match=r"Missing keys in the actual mapping: \['b'\]"):
        assert_close({"a": 1}, {"b": 1})
    with pytest.raises(AssertionError, match=r"length of the sequences mismatch: 1 != 2"):
        assert_close([1], [1, 2])


def test_messages_can_be_replaced():
    with pytest.raises(AssertionError, match=r"^mine$"):
        assert_close(1.0, 2.0, msg="mine")
    with pytest.raises(AssertionError, match=r"^note: Scalars are not close!"):
        assert_close(1.0, 2.0, msg=lambda text: f"note: {text}")


def test_both_tolerances_or_neither():
    with pytest.raises(ArgumentError, match="must be either specified or omitted, but got no atol"):
        assert_close(1.0, 1.0, rtol=1e-3)
    assert_close(1.0, 1.4, rtol=0.5, atol=0.0)


def test_numbers_none_and_truths():
    assert_close(None, None)
    assert_close(np.float32(1), 1.0)
    assert_close(math.nan, math.nan, equal_nan=True)
    for actual, expected, message in (
        (None, 1, "None mismatch: None is not 1"),
        (True, False, "Booleans mismatch: True is not False"),
        (1, 1.0, r"The \(d\)types do not match: <class 'int'> != <class 'float'>"),
        (1, 2, "Scalars are not equal!\n\nExpected 2 but got 1.\nAbsolute difference: 1"),
        (devtensor.tensor(1.0), devtensor.tensor(0.0), "Relative difference: inf"),
    ):
        with pytest.raises(AssertionError, match=message):
            assert_close(actual, expected)


def test_what_cannot_be_compared():
    for actual, expected in (("a", "a"), (devtensor.ones(2), np.ones(2)), (devtensor.ones(2), [1.0, 1.0])):
        with pytest.raises(ArgumentTypeError, match="No comparison pair was able to handle"):
            assert_close(actual, expected)
    with pytest.raises(ArgumentTypeError, match="Parameter"):
        assert_close(devtensor.ones(2), devtensor.nn.Parameter(devtensor.ones(2)), allow_subclasses=False)


def test_complex_numbers_and_wide_unsigned_ones():
    assert_close(devtensor.tensor([1 + 1j]), devtensor.tensor([1 + 1.0000001j]))
    with pytest.raises(AssertionError, match=r"Greatest absolute difference: 1\.0 at index"):
        assert_close(devtensor.tensor([1 + 1j]), devtensor.tensor([1 + 2j]))
    wide = devtensor.tensor([1], dtype=devtensor.uint16)
    assert_close(wide, devtensor.tensor([1], dtype=devtensor.int32), check_dtype=False)


def test_values_of_the_meta_device_are_not_asked():
    assert_close(devtensor.ones(2, device="meta"), devtensor.zeros(2, device="meta"))


def test_the_older_form():
    with pytest.warns(FutureWarning, match="deprecated"):
        assert_allclose(devtensor.ones(2), [1.00005, 1.0])
    with pytest.warns(FutureWarning), pytest.raises(AssertionError, match=r"^mine$"):
        assert_allclose(devtensor.ones(2), [2.0, 1.0], msg="mine")


@pytest.mark.parametrize("name", ["bool", "uint8", "int64", "float16", "float64", "complex64"])
def test_make_tensor(name, device):
    dtype = getattr(devtensor, name)
    made = make_tensor((3, 4), dtype=dtype, device=device)
    assert made.shape == (3, 4)
    assert made.dtype is dtype
    numbers = to_numpy(make_tensor(500, dtype=dtype, device=device)).astype(np.complex128)
    assert np.abs(numbers.real).max() <= 9
    assert len(set(numbers.real.tolist())) > (1 if dtype is devtensor.bool else 8)
    gaps = make_tensor(3, 4, dtype=dtype, device=device, noncontiguous=True)
    assert gaps.shape == (3, 4)
    assert not gaps.is_contiguous()
    assert bool((make_tensor(50, dtype=dtype, device=device, exclude_zero=True) != 0).all())


def test_make_tensor_between_limits():
    numbers = make_tensor(200, dtype=devtensor.int32, device="cpu", low=2.5, high=5)
    assert set(numbers.tolist()) == {3, 4}
    huge = make_tensor(50, dtype=devtensor.float32, device="cpu", low=-1e39, high=1e39, requires_grad=True)
    assert bool(huge.isfinite().all())
    assert huge.requires_grad
    for facts in (
        {"low": 3, "high": 3},
        {"low": math.nan},
        {"low": 300, "high": 400},
        {"requires_grad": True},
    ):
        with pytest.raises(ArgumentError, match="make_tensor"):
            make_tensor(2, dtype=devtensor.uint8, device="cpu", **facts)
    with pytest.raises(ArgumentError, match="memory_format"):
        make_tensor(2, dtype=devtensor.float32, device="cpu", noncontiguous=True, memory_format=object())
