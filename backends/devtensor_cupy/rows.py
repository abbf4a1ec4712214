"""The kernels of our own over rows and channels: softmaxes, norms and their gradients.

They serve floating dtypes on devices whose sources compile; elsewhere the ops' bodies do.
"""

from __future__ import annotations

from devtensor.backend.protocol import Kernel
from devtensor_cupy import channels, norms, softmaxes
from devtensor_cupy.compile.prelude import C_TYPES
from devtensor_cupy.launching import launcher

FAMILIES = {
    "warp_softmax": softmaxes.KERNELS,
    "warp_layer_norm": norms.KERNELS,
    "batch_norm": channels.KERNELS,
}
"""The kernels of ops, by one whose source tells whether theirs compile."""
FIRST_NEEDED = {name: first for first, family in FAMILIES.items() for name in family}
NAMES = frozenset(FIRST_NEEDED)


def ready(name: str, dtype: str) -> bool:
    """Whether an op's kernel can be launched over a dtype on the current device."""
    return dtype in C_TYPES and launcher.kernels(f"{FIRST_NEEDED[name]}_{dtype}") is not None


def kernels() -> dict[str, Kernel]:
    """Every kernel by its op's name."""
    return {name: kernel for family in FAMILIES.values() for name, kernel in family.items()}
