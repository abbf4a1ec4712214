"""Are two results equal within what their dtype allows?

Source: PyTorch's documented behaviour of `torch.testing.assert_close`, its messages included.
"""

from __future__ import annotations

import cmath
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from devtensor.core.dtype import INTEGER, DType, complex128, float64, int64, promote
from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.tensor import Tensor, strides_of
from devtensor.interop import as_tensor, tensor
from devtensor.testing.cases import to_numpy
from devtensor.testing.differences import scalar_report, tensor_report

# (rtol, atol) when none are given; integers and bools must be equal.
TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}
# The same for `assert_allclose`.
OLDER_TOLERANCES = {"float16": (1e-3, 1e-3), "float32": (1e-4, 1e-5), "float64": (1e-5, 1e-8)}
NUMBER_DTYPES = {bool: int64, int: int64, float: float64, complex: complex128}


class Settings(NamedTuple):
    """The arguments of `assert_close`."""

    allow_subclasses: bool
    rtol: float | None
    atol: float | None
    equal_nan: bool
    check_device: bool
    check_dtype: bool
    check_layout: bool
    check_stride: bool


class Mismatch(Exception):
    """Two inputs that differ, or cannot be compared: what is to be raised, and where they stand."""

    def __init__(self, message: str, where: tuple, kind: type[Exception] = AssertionError) -> None:
        super().__init__(message)
        place = "".join(f"[{key!r}]" for key in where)
        self.text = f"{message}\n\nThe failure occurred for item {place}" if where else message
        self.kind = kind


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

    Takes tensors, arrays, numbers, None, and sequences and mappings of them. Tolerances depend on the dtype
    unless given; of two dtypes the coarser one counts.

    Errors: AssertionError that says where the greatest difference is; ArgumentError if only one tolerance is
    given; ArgumentTypeError for inputs that cannot be compared.
    """
    settings = Settings(
        allow_subclasses, rtol, atol, equal_nan, check_device, check_dtype, check_layout, check_stride
    )
    try:
        for compare in comparisons(actual, expected, settings, ()):
            compare()
    except Mismatch as found:
        text = msg(found.text) if callable(msg) else msg or found.text
        raise found.kind(text) from None


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """The older form of `assert_close`: wider tolerances, dtypes may differ, NaN equals NaN."""
    warnings.warn("assert_allclose is deprecated; use assert_close", FutureWarning, stacklevel=2)
    actual = actual if isinstance(actual, Tensor) else tensor(actual)
    expected = expected if isinstance(expected, Tensor) else tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        rtol, atol = coarser(OLDER_TOLERANCES, actual.dtype, expected.dtype)
    assert_close(
        actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False, msg=msg or None
    )


def coarser(table: dict[str, tuple[float, float]], *dtypes: DType) -> tuple[float, float]:
    """The greater tolerances of two dtypes, each by itself."""
    found = [table.get(dtype.name, (0.0, 0.0)) for dtype in dtypes]
    return max(rtol for rtol, _ in found), max(atol for _, atol in found)


def comparisons(actual: Any, expected: Any, settings: Settings, where: tuple) -> list[Callable[[], None]]:
    """What is to be compared in turn, so that inputs of other forms fail before numbers do."""
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            raise Mismatch(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", where)
        keys: Any = range(len(actual))
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        keys = _keys(actual, expected, where)
    else:
        return [_pair(actual, expected, settings, where)]
    found: list[Callable[[], None]] = []
    for key in keys:
        found += comparisons(actual[key], expected[key], settings, (*where, key))
    return found


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _keys(actual: Mapping, expected: Mapping, where: tuple) -> list:
    missing, additional = expected.keys() - actual.keys(), actual.keys() - expected.keys()
    if missing or additional:
        raise Mismatch(
            f"The keys of the mappings do not match:\nMissing keys in the actual mapping: {sorted(missing)}\n"
            f"Additional keys in the actual mapping: {sorted(additional)}",
            where,
        )
    keys = list(actual)
    with suppress(TypeError):
        keys.sort()
    return keys


def _pair(actual: Any, expected: Any, settings: Settings, where: tuple) -> Callable[[], None]:
    """How two inputs that hold nothing further are compared."""
    both = (actual, expected)
    if actual is None or expected is None:
        return partial(_require_same, actual, expected, "None", where)
    if all(isinstance(value, (bool, np.bool_)) for value in both):
        return partial(_require_same, bool(actual), bool(expected), "Booleans", where)
    if all(isinstance(value, (int, float, complex, np.number)) for value in both):
        numbers = [value.item() if isinstance(value, np.number) else value for value in both]
        dtypes = [NUMBER_DTYPES[type(number)] for number in numbers]
        return partial(_compare_numbers, *numbers, settings, _tolerances(settings, where, *dtypes), where)
    tensors = _tensors(actual, expected, settings, where)
    tolerances = _tolerances(settings, where, *(each.dtype for each in tensors))
    return partial(_compare_tensors, *tensors, settings, tolerances, where)


def _require_same(actual: Any, expected: Any, what: str, where: tuple) -> None:
    if actual is not expected:
        raise Mismatch(f"{what} mismatch: {actual} is not {expected}", where)


def _tolerances(settings: Settings, where: tuple, *dtypes: DType) -> tuple[float, float]:
    if (settings.rtol is None) != (settings.atol is None):
        absent = "rtol" if settings.rtol is None else "atol"
        raise Mismatch(
            f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {absent}.",
            where,
            ArgumentError,
        )
    if settings.rtol is not None and settings.atol is not None:
        return settings.rtol, settings.atol
    return coarser(TOLERANCES, *dtypes)


def _tensors(actual: Any, expected: Any, settings: Settings, where: tuple) -> tuple[Tensor, Tensor]:
    related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
    if related and (settings.allow_subclasses or type(actual) is type(expected)):
        with suppress(Exception):
            return as_tensor(actual), as_tensor(expected)
    raise Mismatch(
        f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.",
        where,
        ArgumentTypeError,
    )


def _compare_numbers(
    actual: Any, expected: Any, settings: Settings, tolerances: tuple[float, float], where: tuple
) -> None:
    if settings.check_dtype and type(actual) is not type(expected):
        raise Mismatch(f"The (d)types do not match: {type(actual)} != {type(expected)}.", where)
    if actual == expected or (settings.equal_nan and cmath.isnan(actual) and cmath.isnan(expected)):
        return
    rtol, atol = tolerances
    distance = abs(actual - expected)
    if not (cmath.isfinite(distance) and distance <= atol + rtol * abs(expected)):
        raise Mismatch(scalar_report(actual, expected, rtol, atol), where)


def _compare_tensors(
    actual: Tensor, expected: Tensor, settings: Settings, tolerances: tuple[float, float], where: tuple
) -> None:
    _compare_attributes(actual, expected, settings, where)
    if "meta" in (actual.device.type, expected.device.type):
        return
    if actual.dtype is not expected.dtype:
        common = promote(_signed(actual.dtype), _signed(expected.dtype))
        actual, expected = actual.detach().to(common), expected.detach().to(common)
    found, wanted, (rtol, atol) = to_numpy(actual), to_numpy(expected), tolerances
    if actual.dtype.storage_only and (rtol or atol):
        raise Mismatch(
            f"Rtol={rtol} and atol={atol} are not supported for float8; use rtol=0.0 and atol=0.0", where
        )
    close = _close(found, wanted, rtol, atol, settings.equal_nan)
    if close.all():
        return
    if not found.ndim:
        raise Mismatch(scalar_report(actual.item(), expected.item(), rtol, atol), where)
    raise Mismatch(tensor_report(found, wanted, close, rtol, atol), where)


def _signed(dtype: DType) -> DType:
    """The wider unsigned integers meet others as int64: nothing holds all values of both."""
    return int64 if dtype.category == INTEGER and not dtype.is_signed and dtype.bits > 8 else dtype


def _compare_attributes(actual: Tensor, expected: Tensor, settings: Settings, where: tuple) -> None:
    def require_equal(name: str, first: Any, second: Any) -> None:
        if first != second:
            raise Mismatch(f"The values for attribute '{name}' do not match: {first} != {second}.", where)

    require_equal("shape", actual.shape, expected.shape)
    if settings.check_stride:
        require_equal("stride()", strides_of(actual), strides_of(expected))
    if settings.check_device:
        require_equal("device", actual.device, expected.device)
    if settings.check_dtype:
        require_equal("dtype", actual.dtype, expected.dtype)


def _close(found: np.ndarray, wanted: np.ndarray, rtol: float, atol: float, equal_nan: bool) -> np.ndarray:
    """Which elements are close, computed in the arrays' own dtype."""
    close = found == wanted
    if found.dtype.kind in "biu":
        if not rtol and not atol:
            return close
        found, wanted = found.astype(np.float64), wanted.astype(np.float64)
    with np.errstate(all="ignore"):
        distance = np.abs(found - wanted)
        close = close | (np.isfinite(distance) & (distance <= atol + np.abs(rtol * wanted)))
    return close | (np.isnan(found) & np.isnan(wanted)) if equal_nan else close
