"""Tensors on the device drawn from NumPy's numbers, and how near results must be to float64."""

from __future__ import annotations

import numpy as np

import devtensor as torch

LIMITS = {torch.float64: 1e-12, torch.float32: 3e-6, torch.float16: 1.5e-3, torch.bfloat16: 1.2e-2}


def drawn(shape, dtype, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape)).to(dtype).cuda()


def wide(tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def assert_close(found, wanted, dtype, size=1.0):
    """As near as the dtype allows, relative to `size` at least."""
    assert found.dtype is dtype and tuple(found.shape) == wanted.shape
    smallest = 2.0**-25 if dtype is torch.float16 else 0.0
    np.testing.assert_allclose(wide(found), wanted, LIMITS[dtype], max(LIMITS[dtype] * size, smallest))
