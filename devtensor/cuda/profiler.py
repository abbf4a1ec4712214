"""Start and stop of NVIDIA's profiler by PyTorch's names."""

from __future__ import annotations

from devtensor.core.refusal import refused

__all__ = ["profile", "start", "stop"]

REASON = "CUDA's profiler is reached through CuPy: cupy.cuda.profiler"

profile = refused("cuda.profiler.profile", REASON)
start = refused("cuda.profiler.start", REASON)
stop = refused("cuda.profiler.stop", REASON)
