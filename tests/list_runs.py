"""Parameters on the CUDA device, and the kernels over lists that were launched for them."""

from __future__ import annotations

import numpy as np

import devtensor as dt
from devtensor import nn

SHAPES = [(3, 4), (5,), (2, 3, 2), (), (0,)]


def parameters(shapes=SHAPES, dtype=dt.float32):
    rng = np.random.default_rng(1)
    return [nn.Parameter(dt.tensor(rng.normal(size=s), dtype=dtype, device="cuda")) for s in shapes]


def give_gradients(params, seed, planted=None):
    rng = np.random.default_rng(seed)
    for p in params:
        p.grad = dt.tensor(rng.normal(size=p.shape) * 8, dtype=p.dtype, device="cuda")
    if planted is not None:
        params[1].grad[3] = planted


def bits(tensors):
    return [t.detach().cpu().numpy().tobytes() for t in tensors]


def kernels_of(counts):
    return {name.removeprefix("kernel "): n for name, n in counts.items() if name.startswith("kernel ")}


def of_lists(counts):
    """The kernels over lists that were launched."""
    return [name for name in kernels_of(counts) if name.startswith("multi_")]
