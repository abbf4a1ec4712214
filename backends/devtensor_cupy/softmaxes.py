"""Softmax, its logarithm, softmax of masked scores and their gradients: one launch each."""

from __future__ import annotations

import math
from typing import Any

import cupy

from devtensor.backend.protocol import Kernel
from devtensor_cupy.arrays_in_rows import by_length, extents, in_rows, launch

MASK_KINDS = {"bool": 1, "float16": 2, "bfloat16": 3, "float32": 4, "float64": 5}
"""What kernels call the dtypes of masks; 0 is none."""


def softmax_of(form: str) -> Kernel:
    """The kernel of a softmax: its shares, or their logarithms."""

    def kernel(x: Any, dim: int) -> Any:
        x = in_rows(x)
        result = cupy.empty(x.shape, x.dtype)
        rows, columns, inner = extents(x.shape, dim)
        if not x.size:
            return result
        if inner == 1:
            launch(f"{by_length(columns)}_{form}", rows, x.dtype, x, result, rows, columns)
        else:
            launch(f"along_{form}", rows, x.dtype, x, result, rows, columns, inner)
        return result

    return kernel


def gradient_of(form: str) -> Kernel:
    """The kernel of a softmax's gradient, from its output and that one's gradient; `rest` may be a scale."""

    def kernel(g: Any, output: Any, dim: int, *rest: float) -> Any:
        g, output = in_rows(g), in_rows(output)
        result = cupy.empty(output.shape, output.dtype)
        rows, columns, inner = extents(output.shape, dim)
        if not output.size:
            return result
        given = output, g, result, rows, columns
        if inner == 1:
            launch(f"{by_length(columns)}_{form}_backward", rows, output.dtype, *given, *rest)
        else:
            launch(f"along_{form}_backward", rows, output.dtype, *given, inner, *rest)
        return result

    return kernel


def masked_softmax(scores: Any, mask: Any, is_causal: bool, scale: float) -> Any:
    """Softmax of scores * scale beside a mask, which is read where it lies, repeated where it is 1 long."""
    scores = in_rows(scores)
    result = cupy.empty(scores.shape, scores.dtype)
    if not scores.size:
        return result
    mask, heads, steps = mask_steps(mask, scores.shape)
    kind = 0 if mask is None else MASK_KINDS[mask.dtype.name]
    queries, columns = (1, *scores.shape)[-2:]
    rows = scores.size // columns
    given = scores, mask, result, kind, int(is_causal), rows, columns, heads, queries, *steps, scale
    launch(f"{by_length(columns)}_masked_softmax", rows, scores.dtype, *given)
    return result


def mask_steps(mask: Any, shape: tuple[int, ...]) -> tuple[Any, int, tuple[int, ...]]:
    """The mask, how many heads there are, and how far it goes on with each batch, head, query and key."""
    if mask is None:
        return None, 1, (0, 0, 0, 0)
    if mask.dtype.name not in MASK_KINDS:
        mask = mask.astype(bool)
    seen = cupy.broadcast_to(mask, shape)
    if len(shape) > 4:
        # More dims in front than the kernel counts: as one.
        batch = math.prod(shape[:-2])
        seen = mask = cupy.ascontiguousarray(seen).reshape(batch, 1, *shape[-2:])
    missing = 4 - seen.ndim
    heads = 1 if missing > 1 else seen.shape[-3]
    return mask, heads, (0,) * missing + tuple(stride // mask.itemsize for stride in seen.strides)


KERNELS: dict[str, Kernel] = {form: softmax_of(form) for form in ("softmax", "safe_softmax", "log_softmax")}
KERNELS |= {f"{form}_gradient": gradient_of(form) for form in ("softmax", "log_softmax")}
KERNELS["masked_softmax"] = masked_softmax
