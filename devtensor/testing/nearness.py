"""Is a result its exact value, rounded?"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from devtensor.core.dtype import DType
from devtensor.core.tensor import Tensor
from devtensor.testing.cases import numpy_dtype, to_numpy


def assert_near(actual: Any, expected: Any, dtype: DType, steps: float, scale: float, what: str) -> None:
    """Raise AssertionError unless `actual` is `expected` rounded to `dtype`, within `steps` rounding errors.

    A rounding error is the dtype's eps times the element's size, or times `scale` where sums cancelled.
    Integers and bools must be equal; integers out of range wrap around.
    """
    found, wanted = (
        to_numpy(actual) if isinstance(actual, Tensor) else np.asarray(actual),
        np.asarray(expected),
    )
    if found.shape != wanted.shape:
        raise AssertionError(f"{what}: shape {found.shape} instead of {wanted.shape}")
    if not dtype.differentiable:
        if not np.array_equal(found, wanted.astype(numpy_dtype(dtype.name))):
            raise AssertionError(f"{what}:\n{found}\ninstead of\n{wanted}")
        return
    limits = ml_dtypes.finfo(numpy_dtype(dtype.to_real().name))
    exact = np.complex128 if dtype.is_complex else np.float64
    with np.errstate(all="ignore"):
        rounded = wanted.astype(numpy_dtype(dtype.name)).astype(exact)
        found = found.astype(exact)
        bound = float(limits.eps) * steps * np.maximum(np.abs(rounded), scale) + float(limits.tiny)
        good = (found == rounded) | (np.isnan(found) & np.isnan(rounded)) | (np.abs(found - rounded) <= bound)
    if not good.all():
        off = np.abs(found - rounded)[~good] / float(limits.eps)
        raise AssertionError(
            f"{what}: {int((~good).sum())} of {good.size} {dtype.name} elements are up to {off.max():.1f} "
            f"eps off:\n{found[~good][:5]}\ninstead of\n{rounded[~good][:5]}"
        )
