"""Elementwise CUDA functions from a text of C++: refused by their names."""

from __future__ import annotations

from devtensor.core.refusal import refused

__all__: list[str] = []

REASON = "CUDA code of a user's is compiled by CuPy: cupy.ElementwiseKernel over DLPack arrays"

_create_jit_fn = refused("cuda.jiterator._create_jit_fn", REASON)
_create_multi_output_jit_fn = refused("cuda.jiterator._create_multi_output_jit_fn", REASON)
