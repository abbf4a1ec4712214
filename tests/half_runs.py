"""Both ways that half types take on the CPU, and values that tell them apart."""

from __future__ import annotations

import os

import ml_dtypes
import numpy as np
import pytest

from devtensor_numpy import half_bits, half_blocks, half_loops, halves, leases, ordering
from devtensor_numpy.compile.casts import casts

HALF_TYPES = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
WAYS = "machine code", "passes"


def need_machine_code():
    """Skip where llvmlite is not installed; in CI that is a failure."""
    if casts.functions():
        return
    if os.environ.get("CI"):
        pytest.fail(f"no machine code in CI: {casts.describe()}")
    pytest.skip(f"no machine code here: {casts.describe()}")


def go(way, monkeypatch):
    """Cast by machine code, or by NumPy's passes."""
    if way == "machine code":
        need_machine_code()
    else:
        monkeypatch.setattr(casts, "found", {})


def everything_is_large(monkeypatch):
    """Take the way of large arrays from two elements on."""
    for module in (halves, half_bits, ordering):
        monkeypatch.setattr(module, "SMALL", 1)
    monkeypatch.setattr(half_blocks, "BLOCK", 20)
    monkeypatch.setattr(half_loops, "FEW", 1)
    monkeypatch.setattr(leases, "LARGE", 1)


def every(half):
    """All 65,536 numbers of a half type."""
    return np.arange(1 << 16, dtype=np.uint16).view(half)


def borders(half):
    """float32 numbers where rounding turns: each half number, each middle, and their neighbours."""
    with np.errstate(all="ignore"):
        wide = every(half).astype(np.float32)
        finite = np.unique(wide[np.isfinite(wide)])
        middles = (finite[:-1].astype(np.float64) + finite[1:]) / 2
        corners = np.concatenate([finite, middles.astype(np.float32)])
        above, below = (np.nextafter(corners, np.float32(end)) for end in (np.inf, -np.inf))
        top = np.abs(finite).max()
        beyond = np.array([top * 1.0009, top * 1.01, 1e30, 3.4e38, 1e-45, 1e-40], np.float32)
    return np.concatenate([corners, above, below, beyond, -beyond])


def specials():
    """Infinities, zeros and NaN of both signs with all kinds of bits, as float32."""
    bits = [0x7F800000, 0x7F800001, 0x7F802000, 0x7FBFFFFF, 0x7FC00000, 0x7FC12345, 0x7FFFFFFF, 0]
    return np.array(bits + [b | 0x80000000 for b in bits], np.uint32).view(np.float32)
