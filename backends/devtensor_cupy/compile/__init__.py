"""CUDA sources without headers, the compiler that makes cubins of them, and their cache.

Nothing here needs a device, a driver or CuPy, except `CupyRuntime`.
"""

from __future__ import annotations

from itertools import chain

from devtensor_cupy.compile.along import ALONG_KERNELS
from devtensor_cupy.compile.casts import CASTS
from devtensor_cupy.compile.channels import CHANNEL_KERNELS
from devtensor_cupy.compile.elementwise import ELEMENTWISE_KERNELS
from devtensor_cupy.compile.loss_scale import LOSS_SCALE
from devtensor_cupy.compile.multi_norms import MULTI_NORMS, NORM
from devtensor_cupy.compile.multi_tensor import MULTI_TENSOR
from devtensor_cupy.compile.philox import PHILOX
from devtensor_cupy.compile.registry import Entry, Launch, Source, Sources
from devtensor_cupy.compile.row_norms import NORM_KERNELS, PART_KERNELS
from devtensor_cupy.compile.scatter import FIND_TARGETS, SCATTER_KERNELS
from devtensor_cupy.compile.softmaxes import SOFTMAX_KERNELS
from devtensor_cupy.compile.steps import COUNTS, STEPS
from devtensor_cupy.compile.windows import WINDOW_KERNELS

__all__ = ["SOURCES", "Entry", "Launch", "Source", "Sources"]

FAMILIES = (
    MULTI_TENSOR,
    MULTI_NORMS,
    STEPS,
    SOFTMAX_KERNELS,
    NORM_KERNELS,
    ALONG_KERNELS,
    PART_KERNELS,
    CHANNEL_KERNELS,
    WINDOW_KERNELS,
    SCATTER_KERNELS,
    ELEMENTWISE_KERNELS,
)
SOURCES = Sources(CASTS, PHILOX, NORM, COUNTS, LOSS_SCALE, FIND_TARGETS, *chain.from_iterable(FAMILIES))
"""Every CUDA source that the runtime holds."""
