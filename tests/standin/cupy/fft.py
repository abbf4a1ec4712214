"""CuPy's Fourier transforms."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupy._arrays import ndarray
from cupy._functions import run


def transform(name: str) -> Any:
    """NumPy's transform of several dims; cuFFT knows no half types here."""

    def transformed(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> ndarray:
        if a.dtype.itemsize == 2:
            raise TypeError(f"{name} knows no {a.dtype}")
        return run(getattr(np.fft, name), a, s=s, axes=axes, norm=norm)

    return transformed


fftn, ifftn, rfftn, irfftn = (transform(name) for name in ("fftn", "ifftn", "rfftn", "irfftn"))
