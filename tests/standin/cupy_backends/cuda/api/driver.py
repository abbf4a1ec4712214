"""The driver's launch: the kernel's host build runs on the stream, after all that the stream was asked."""

from __future__ import annotations

from cupy._machine import counts, current
from cupy._modules import entries, launched_on


class CUDADriverError(RuntimeError):
    """What the driver reports."""


def launchKernel(
    f: int, grid_dim_x: int, grid_dim_y: int, grid_dim_z: int,
    block_dim_x: int, block_dim_y: int, block_dim_z: int,
    shared_mem_bytes: int, stream: int, kernel_params: int, extra: int,
) -> None:  # fmt: skip
    """Run a kernel over a grid of one dimension, without shared memory of the launch's own."""
    if min(grid_dim_x, block_dim_x) < 1 or (grid_dim_y, grid_dim_z, block_dim_y, block_dim_z) != (1, 1, 1, 1):
        raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
    if shared_mem_bytes or extra:
        raise CUDADriverError("CUDA_ERROR_INVALID_VALUE: the stand-in launches without these")
    if current.device not in current.bound:
        raise CUDADriverError("CUDA_ERROR_INVALID_CONTEXT: invalid device context")
    launched_on(stream)
    entry = entries[f]
    counts[f"kernel {entry.name}"] += 1
    counts["kernels"] += 1
    entry.run(grid_dim_x, block_dim_x, kernel_params)
