"""Memory for what is computed in passing: kept, as fresh memory costs more than what is done with it."""

from __future__ import annotations

import threading

import numpy as np
from numpy import ndarray

KEPT = 1 << 24
"""Bytes up to which memory is kept."""
_kept = threading.local()


def scratch(place: str, count: int, dtype: type[np.generic]) -> ndarray:
    """`count` elements that nobody else in this thread uses under that name; what they hold is arbitrary."""
    held = _kept.__dict__.get(place)
    if held is None or held.size < count or held.dtype != dtype:
        held = np.empty(count, dtype)
        if held.nbytes <= KEPT:
            _kept.__dict__[place] = held
    return held[:count]
