"""CUDA sources without headers, the compiler that makes cubins of them, and their cache.

Nothing here needs a device, a driver or CuPy, except `CupyRuntime`.
"""

from __future__ import annotations

from itertools import chain

from devtensor_cupy.compile.along import ALONG_KERNELS
from devtensor_cupy.compile.casts import CASTS
from devtensor_cupy.compile.multi_steps import COUNTS, MULTI_STEPS
from devtensor_cupy.compile.multi_tensor import MULTI_TENSOR, NORM
from devtensor_cupy.compile.philox import PHILOX
from devtensor_cupy.compile.registry import Entry, Launch, Source, Sources
from devtensor_cupy.compile.rows import BLOCK_KERNELS, PART_KERNELS, WARP_KERNELS
from devtensor_cupy.compile.scatter import SCATTER_KERNELS
from devtensor_cupy.compile.windows import WINDOW_KERNELS

__all__ = ["SOURCES", "Entry", "Launch", "Source", "Sources"]

FAMILIES = (
    MULTI_TENSOR,
    MULTI_STEPS,
    WARP_KERNELS,
    BLOCK_KERNELS,
    ALONG_KERNELS,
    PART_KERNELS,
    WINDOW_KERNELS,
    SCATTER_KERNELS,
)
SOURCES = Sources(CASTS, PHILOX, NORM, COUNTS, *chain.from_iterable(FAMILIES))
"""Every CUDA source that the runtime holds."""
