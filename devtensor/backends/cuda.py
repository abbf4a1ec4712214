"""Settings of products and attention on CUDA, kept and given back; float32 is computed in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from devtensor.backend import registry
from devtensor.backends.flags import Flags, checked
from devtensor.core.errors import DeviceMissing
from devtensor.functions.settings import get_float32_matmul_precision, set_float32_matmul_precision

__all__ = [
    "cudnn_sdp_enabled",
    "enable_cudnn_sdp",
    "enable_flash_sdp",
    "enable_math_sdp",
    "enable_mem_efficient_sdp",
    "flash_sdp_enabled",
    "is_built",
    "is_flash_attention_available",
    "math_sdp_enabled",
    "matmul",
    "mem_efficient_sdp_enabled",
    "preferred_blas_library",
    "preferred_linalg_library",
    "sdp_kernel",
]


class Matmul(Flags):
    """Settings of matrix products; `allow_tf32` is another word for the precision of float32."""

    @property
    def allow_tf32(self) -> bool:
        """Whether `set_float32_matmul_precision` was told less than "highest"."""
        return get_float32_matmul_precision() != "highest"

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "allow_tf32":
            allowed = checked("cuda.matmul.allow_tf32", value, bool)
            set_float32_matmul_precision("high" if allowed else "highest")
        else:
            super().__setattr__(name, value)


matmul = Matmul(
    "cuda.matmul",
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
    allow_fp16_accumulation=False,
    fp32_precision="none",
)


class _PlanCache:
    """The cache of plans for Fourier transforms: the array library keeps its own."""

    def __getattr__(self, name: str) -> Any:
        raise DeviceMissing(f"[cufft_plan_cache] {name} is not known: the array library keeps its own plans")


cufft_plan_cache = _PlanCache()

# Kernel of attention -> whether it may be chosen. There is one way to compute it, "math".
_attention = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


def is_built() -> bool:
    """Whether CUDA can be used: here that is asked of the machine, not of the build."""
    return registry.available("cuda")


def is_flash_attention_available() -> bool:
    """Whether there is a flash-attention kernel: no."""
    return False


def _enable(name: str, enabled: bool) -> None:
    _attention[name] = checked(f"sdp_use_{name}", enabled, bool)


def enable_flash_sdp(enabled: bool) -> None:
    """Kept and given back by `flash_sdp_enabled`."""
    _enable("flash", enabled)


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Kept and given back by `mem_efficient_sdp_enabled`."""
    _enable("mem_efficient", enabled)


def enable_math_sdp(enabled: bool) -> None:
    """Kept and given back by `math_sdp_enabled`."""
    _enable("math", enabled)


def enable_cudnn_sdp(enabled: bool) -> None:
    """Kept and given back by `cudnn_sdp_enabled`."""
    _enable("cudnn", enabled)


def flash_sdp_enabled() -> bool:
    """What `enable_flash_sdp` was told."""
    return _attention["flash"]


def mem_efficient_sdp_enabled() -> bool:
    """What `enable_mem_efficient_sdp` was told."""
    return _attention["mem_efficient"]


def math_sdp_enabled() -> bool:
    """What `enable_math_sdp` was told."""
    return _attention["math"]


def cudnn_sdp_enabled() -> bool:
    """What `enable_cudnn_sdp` was told."""
    return _attention["cudnn"]


@contextmanager
def sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> Iterator[None]:
    """Within it the four settings of attention are these."""
    before = dict(_attention)
    try:
        _enable("flash", enable_flash)
        _enable("mem_efficient", enable_mem_efficient)
        _enable("math", enable_math)
        _enable("cudnn", enable_cudnn)
        yield
    finally:
        _attention.update(before)


_preferred = {"linalg": "default", "blas": "default"}
LIBRARIES = {
    "linalg": ("default", "cusolver", "magma"),
    "blas": ("default", "cublas", "cublaslt", "hipblaslt", "ck"),
}


def _prefer(kind: str, backend: str | None) -> str:
    if backend is not None:
        _preferred[kind] = checked(f"preferred_{kind}_library", backend, LIBRARIES[kind])
    return _preferred[kind]


def preferred_linalg_library(backend: str | None = None) -> str:
    """Kept and given back; the array library chooses."""
    return _prefer("linalg", backend)


def preferred_blas_library(backend: str | None = None) -> str:
    """Kept and given back; the array library chooses."""
    return _prefer("blas", backend)
