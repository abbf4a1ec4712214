"""cuDNN's settings, kept and given back: convolutions here are made of matrix products, without cuDNN."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

from devtensor.backends.flags import Flags, guard, held
from devtensor.core.tensor import Tensor

__all__ = ["flags", "is_acceptable", "is_available", "set_flags", "version"]

PRECISIONS = ("none", "ieee", "tf32", "bf16")
KERNELS = ("auto", "native", "cudnn")

enabled = True
benchmark = False
benchmark_limit = 10
deterministic = False
allow_tf32 = True
fp32_precision = "none"
depthwise_kernel = "auto"
conv = Flags("cudnn.conv", fp32_precision="tf32")
rnn = Flags("cudnn.rnn", fp32_precision="tf32")

_KINDS = {
    "enabled": bool,
    "benchmark": bool,
    "benchmark_limit": int,
    "deterministic": bool,
    "allow_tf32": bool,
    "fp32_precision": PRECISIONS,
    "depthwise_kernel": KERNELS,
}


def version() -> int | None:
    """cuDNN's version: None, it is not used."""
    return None


def is_available() -> bool:
    """Whether cuDNN is used: no."""
    return False


def is_acceptable(tensor: Tensor) -> bool:
    """Whether cuDNN would take this tensor: no."""
    return False


def set_flags(
    _enabled: bool | None = None,
    _benchmark: bool | None = None,
    _benchmark_limit: int | None = None,
    _deterministic: bool | None = None,
    _allow_tf32: bool | None = None,
    _fp32_precision: str | None = None,
    _depthwise_kernel: str | None = None,
) -> tuple:
    """Set what is not None; returns what was."""
    given = (_enabled, _benchmark, _benchmark_limit, _deterministic, _allow_tf32)
    given += (_fp32_precision, _depthwise_kernel)
    before = tuple(globals()[name] for name in _KINDS)
    for name, value in zip(_KINDS, given, strict=True):
        if value is not None:
            setattr(sys.modules[__name__], name, value)
    return before


def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
    fp32_precision: str = "none",
    depthwise_kernel: str = "auto",
) -> AbstractContextManager[None]:
    """A context within which the settings are these."""
    return held(
        __name__,
        enabled=enabled,
        benchmark=benchmark,
        benchmark_limit=benchmark_limit,
        deterministic=deterministic,
        allow_tf32=allow_tf32,
        fp32_precision=fp32_precision,
        depthwise_kernel=depthwise_kernel,
    )


guard(__name__)
