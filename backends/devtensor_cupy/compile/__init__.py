"""CUDA sources without headers, the compiler that makes cubins of them, and their cache.

Nothing here needs a device, a driver or CuPy, except `CupyRuntime`.
"""

from __future__ import annotations

from devtensor_cupy.compile.casts import CASTS
from devtensor_cupy.compile.multi_steps import MULTI_STEPS
from devtensor_cupy.compile.multi_tensor import MULTI_TENSOR
from devtensor_cupy.compile.philox import PHILOX
from devtensor_cupy.compile.registry import Entry, Launch, Source, Sources
from devtensor_cupy.compile.rows import ROW_KERNELS
from devtensor_cupy.compile.scatter import SCATTER_KERNELS
from devtensor_cupy.compile.windows import WINDOW_KERNELS

__all__ = ["SOURCES", "Entry", "Launch", "Source", "Sources"]

SOURCES = Sources(CASTS, MULTI_STEPS, MULTI_TENSOR, PHILOX, ROW_KERNELS, SCATTER_KERNELS, WINDOW_KERNELS)
"""Every CUDA source that the runtime holds."""
