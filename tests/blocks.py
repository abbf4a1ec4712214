"""A module to save, move, print and copy, and its numbers."""

from __future__ import annotations

import numpy as np

import devtensor
from devtensor import nn


class Block(nn.Module):
    """A parameter, a buffer that is saved, one that is not, and a submodule."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(devtensor.ones(2))
        self.register_buffer("mean", devtensor.zeros(2))
        self.register_buffer("scratch", devtensor.zeros(3), persistent=False)
        self.inner = nn.Linear(2, 2)

    def forward(self, x):
        return self.inner(x) * self.scale


def values(tensor):
    return np.array(tensor.detach().tolist())
