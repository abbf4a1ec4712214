"""Are two results equal within what their dtype allows?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from devtensor.core.dtype import FLOAT, DType
from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor, describe
from devtensor.testing.cases import numpy_dtype, to_numpy

# (rtol, atol) when none are given; integers and bools must be equal.
TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless every element has |actual - expected| <= atol + rtol * |expected|.

    Takes tensors, arrays, numbers, and sequences and mappings of them. Tolerances depend on the dtype unless
    given; of two dtypes the coarser one counts.

    Errors: AssertionError that says where the greatest difference is; ArgumentError if only one tolerance is
    given.
    """
    settings = _Settings(rtol, atol, equal_nan, check_device, check_dtype, check_stride)
    try:
        _compare(actual, expected, settings, "")
    except AssertionError as error:
        text = str(error)
        raise AssertionError(msg(text) if callable(msg) else msg or text) from None


class _Settings:
    def __init__(
        self, rtol: Any, atol: Any, equal_nan: bool, device: bool, dtype: bool, stride: bool
    ) -> None:
        if (rtol is None) != (atol is None):
            raise ArgumentError(f"[assert_close] rtol={rtol}, atol={atol}; give both or neither")
        self.tolerances = None if rtol is None else (rtol, atol)
        self.equal_nan = equal_nan
        self.device = device
        self.dtype = dtype
        self.stride = stride


def _compare(actual: Any, expected: Any, settings: _Settings, where: str) -> None:
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        _require(actual.keys() == expected.keys(), where, f"keys {list(actual)} and {list(expected)} differ")
        for key in actual:
            _compare(actual[key], expected[key], settings, f"{where}[{key!r}]")
    elif _is_sequence(actual) and _is_sequence(expected):
        _require(len(actual) == len(expected), where, f"lengths {len(actual)} and {len(expected)} differ")
        for place, (a, b) in enumerate(zip(actual, expected, strict=True)):
            _compare(a, b, settings, f"{where}[{place}]")
    elif isinstance(actual, Tensor) and isinstance(expected, Tensor):
        _compare_tensors(actual, expected, settings, where)
    else:
        _compare_arrays(_as_array(actual), _as_array(expected), settings, where)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _as_array(value: Any) -> np.ndarray:
    return to_numpy(value) if isinstance(value, Tensor) else np.asarray(value)


def _require(truth: bool, where: str, what: str) -> None:
    if not truth:
        raise AssertionError(f"[assert_close] {'item ' + where + ': ' if where else ''}{what}")


def _compare_tensors(actual: Tensor, expected: Tensor, settings: _Settings, where: str) -> None:
    pair = f"{describe(actual)} and {describe(expected)}"
    _require(actual.shape == expected.shape, where, f"shapes differ: {pair}")
    _require(not settings.device or actual.device is expected.device, where, f"devices differ: {pair}")
    _require(not settings.dtype or actual.dtype is expected.dtype, where, f"dtypes differ: {pair}")
    if settings.stride:
        strides = [t.device.backend.strides_of(t.array) for t in (actual, expected)]
        _require(strides[0] == strides[1], where, f"strides {strides[0]} and {strides[1]} differ")
    _compare_arrays(to_numpy(actual), to_numpy(expected), settings, where)


def _compare_arrays(actual: np.ndarray, expected: np.ndarray, settings: _Settings, where: str) -> None:
    _require(actual.shape == expected.shape, where, f"shapes {actual.shape} and {expected.shape} differ")
    names = (actual.dtype.name, expected.dtype.name)
    default = [TOLERANCES.get(name, (0.0, 0.0)) for name in names]
    rtol, atol = settings.tolerances or (max(r for r, _ in default), max(a for _, a in default))
    if actual.dtype.kind in "biu" and expected.dtype.kind in "biu":
        distance = np.where(
            actual == expected, 0.0, np.abs(actual.astype(np.float64) - expected.astype(np.float64))
        )
        distance = np.where((actual != expected) & (distance == 0), 1.0, distance)
        allowed = np.broadcast_to(atol + rtol * np.abs(expected.astype(np.float64)), distance.shape)
    else:
        distance, allowed = _distance(
            actual.astype(np.float64), expected.astype(np.float64), rtol, atol, settings
        )
    _report(distance, allowed, rtol, atol, where)


def _distance(a: np.ndarray, b: np.ndarray, rtol: float, atol: float, settings: _Settings) -> tuple:
    with np.errstate(invalid="ignore", over="ignore"):
        same = (a == b) | (settings.equal_nan & np.isnan(a) & np.isnan(b))
        distance = np.where(same, 0.0, np.abs(a - b))
        distance = np.where(np.isnan(distance), math.inf, distance)
        allowed = np.where(np.isfinite(b), atol + rtol * np.abs(b), 0.0)
    return distance, allowed


def _report(distance: np.ndarray, allowed: np.ndarray, rtol: float, atol: float, where: str) -> None:
    wrong = distance > allowed
    if not wrong.any():
        return
    worst = np.unravel_index(np.argmax(np.where(wrong, distance, -1.0)), distance.shape)
    place = tuple(int(i) for i in worst)
    _require(
        False,
        where,
        f"Tensor-likes are not close: {int(wrong.sum())} of {distance.size} elements differ; "
        f"greatest difference {distance[worst]:.3g} at {place}, where {allowed[worst]:.3g} is allowed "
        f"(rtol={rtol}, atol={atol})",
    )


def assert_near(actual: Any, expected: Any, dtype: DType, steps: float, scale: float, what: str) -> None:
    """Raise AssertionError unless `actual` is `expected` rounded to `dtype`, within `steps` rounding errors.

    A rounding error is the dtype's eps times the element's size, or times `scale` where sums cancelled.
    Integers and bools must be equal; integers out of range wrap around.
    """
    found, wanted = _as_array(actual), np.asarray(expected)
    if found.shape != wanted.shape:
        raise AssertionError(f"{what}: shape {found.shape} instead of {wanted.shape}")
    if dtype.category != FLOAT:
        if not np.array_equal(found, wanted.astype(numpy_dtype(dtype.name))):
            raise AssertionError(f"{what}:\n{found}\ninstead of\n{wanted}")
        return
    limits = ml_dtypes.finfo(numpy_dtype(dtype.name))
    with np.errstate(all="ignore"):
        rounded = wanted.astype(numpy_dtype(dtype.name)).astype(np.float64)
        found = found.astype(np.float64)
        bound = float(limits.eps) * steps * np.maximum(np.abs(rounded), scale) + float(limits.tiny)
        good = (found == rounded) | (np.isnan(found) & np.isnan(rounded)) | (np.abs(found - rounded) <= bound)
    if not good.all():
        off = np.abs(found - rounded)[~good] / float(limits.eps)
        raise AssertionError(
            f"{what}: {int((~good).sum())} of {good.size} {dtype.name} elements are up to {off.max():.1f} "
            f"eps off:\n{found[~good][:5]}\ninstead of\n{rounded[~good][:5]}"
        )
