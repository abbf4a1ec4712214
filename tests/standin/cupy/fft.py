"""CuPy's Fourier transforms."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupy._arrays import ndarray
from cupy._functions import run


def transform(name: str) -> Any:
    """NumPy's transform of several dims; cuFFT knows no half types here, and plans over several neighbouring
    dims refuse any size of 0 (fft/_fft.py).
    """

    def transformed(a: Any, s: Any = None, axes: Any = None, norm: Any = None) -> ndarray:
        if a.dtype.itemsize == 2:
            raise TypeError(f"{name} knows no {a.dtype}")
        along = sorted(axes)
        neighbours = along == list(range(along[0], along[-1] + 1)) and {0, a.ndim - 1} & {*along}
        if not a.size and 1 < len(along) <= 3 and neighbours:
            raise ValueError("Invalid number of FFT data points (0) specified.")
        return run(getattr(np.fft, name), a, s=s, axes=axes, norm=norm)

    return transformed


fftn, ifftn, rfftn, irfftn = (transform(name) for name in ("fftn", "ifftn", "rfftn", "irfftn"))
