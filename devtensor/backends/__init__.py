"""Settings and questions for the libraries that PyTorch builds on.

Scripts set them before they start: values are kept, checked for their kind and given back.
"""

from __future__ import annotations

from devtensor.backends import (
    cpu,
    cuda,
    cudnn,
    cusparselt,
    kleidiai,
    mha,
    miopen,
    mkl,
    mkldnn,
    mps,
    nnpack,
    openmp,
    opt_einsum,
    quantized,
)

__all__ = [
    "cpu",
    "cuda",
    "cudnn",
    "cusparselt",
    "disable_global_flags",
    "flags_frozen",
    "kleidiai",
    "mha",
    "miopen",
    "mkl",
    "mkldnn",
    "mps",
    "nnpack",
    "openmp",
    "opt_einsum",
    "quantized",
]


def flags_frozen() -> bool:
    """Whether settings may no longer be changed: never."""
    return False


def disable_global_flags() -> None:
    """Taken, without effect: settings stay changeable."""
