"""devtensor.testing.assert_close: what passes, what does not, and what the error says."""

from __future__ import annotations

import math

import numpy as np
import pytest

import devtensor
from devtensor.core.errors import ArgumentError
from devtensor.testing import assert_close


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
        with pytest.raises(AssertionError, match=r"1 of . elements differ"):
            assert_close(devtensor.tensor(a), devtensor.tensor(b))


def test_the_error_says_how_many_and_where():
    a, b = devtensor.zeros(2, 3), devtensor.zeros(2, 3)
    b[1, 2], b[0, 1] = 5.0, 1.0
    with pytest.raises(AssertionError, match=r"2 of 6 elements differ; greatest difference 5 at \(1, 2\)"):
        assert_close(a, b)


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
    with pytest.raises(AssertionError, match=r"shapes differ: \(2, 3\).*\(3, 2\)"):
        assert_close(a, devtensor.ones(3, 2))
    with pytest.raises(AssertionError, match=r"dtypes differ"):
        assert_close(a, a.double())
    assert_close(a, a.double(), check_dtype=False)
    with pytest.raises(AssertionError, match=r"devices differ"):
        assert_close(a, devtensor.ones(2, 3, device="strict"))
    assert_close(a, devtensor.ones(2, 3, device="strict"), check_device=False)
    with pytest.raises(AssertionError, match=r"strides \(3, 1\) and \(1, 2\) differ"):
        assert_close(a, devtensor.ones(3, 2).t(), check_stride=True)


def test_nested_and_plain_values():
    assert_close({"a": [devtensor.ones(2), 1.0]}, {"a": [devtensor.ones(2), 1.0]})
    assert_close(np.ones(2), np.ones(2) + 1e-9)
    with pytest.raises(AssertionError, match=r"item \['a'\]\[1\]"):
        assert_close({"a": [devtensor.ones(2), 1.0]}, {"a": [devtensor.ones(2), 2.0]})
    with pytest.raises(AssertionError, match=r"keys .* differ"):
        assert_close({"a": 1}, {"b": 1})
    with pytest.raises(AssertionError, match=r"lengths 1 and 2 differ"):
        assert_close([1], [1, 2])


def test_messages_can_be_replaced():
    with pytest.raises(AssertionError, match=r"^mine$"):
        assert_close(1.0, 2.0, msg="mine")
    with pytest.raises(AssertionError, match=r"^note: \[assert_close\]"):
        assert_close(1.0, 2.0, msg=lambda text: f"note: {text}")


def test_both_tolerances_or_neither():
    with pytest.raises(ArgumentError, match="both or neither"):
        assert_close(1.0, 1.0, rtol=1e-3)
    assert_close(1.0, 1.4, rtol=0.5, atol=0.0)
