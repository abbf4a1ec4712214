"""Are PyTorch's result and ours the same: structure, dtype, shape and numbers?"""

from __future__ import annotations

from typing import Any

import numpy as np

import devtensor
import opinfo.carrying as carrying
from opinfo.carrying import DTYPES, NotComparable, flat, to_numpy

# Relative to the largest number of the result: kernels add up in another order.
NEAR = {
    "float64": 1e-7,
    "complex128": 1e-7,
    "float32": 1e-4,
    "complex64": 1e-4,
    "float16": 1e-2,
    "bfloat16": 5e-2,
}


def check_comparable(value: Any) -> None:
    """Refuse results of a kind that devtensor does not have.

    Errors: NotComparable.
    """
    for leaf in flat(value):
        is_tensor = isinstance(leaf, carrying.torch.Tensor)
        if is_tensor and (leaf.layout != carrying.torch.strided or leaf.dtype not in DTYPES):
            raise NotComparable(f"{leaf.layout} {leaf.dtype}")


def difference(theirs: Any, ours: Any, what: str, shapes_only: bool = False) -> str | None:
    """What differs, in words; None if nothing does."""
    left, right = flat(theirs), flat(ours)
    if len(left) != len(right):
        return f"{what}: {len(left)} results, ours {len(right)}"
    for place, (wanted, found) in enumerate(zip(left, right, strict=True)):
        text = _one(wanted, found, shapes_only)
        if text:
            return f"{what}[{place}]: {text}"
    return None


def layout_difference(theirs: Any, ours: Any) -> str | None:
    """Which strides differ; those of sizes of 1, and of tensors without elements, say nothing."""
    for place, (wanted, found) in enumerate(zip(flat(theirs), flat(ours), strict=True)):
        if not isinstance(wanted, carrying.torch.Tensor) or 0 in wanted.shape:
            continue
        told = [d for d, size in enumerate(wanted.shape) if size > 1]
        if any(wanted.stride(d) != found.stride(d) for d in told):
            shape = tuple(wanted.shape)
            return f"strides[{place}] of {shape}: {wanted.stride()}, ours {found.stride()}"
    return None


def _one(wanted: Any, found: Any, shapes_only: bool) -> str | None:
    torch = carrying.torch
    if isinstance(wanted, torch.Tensor):
        if not isinstance(found, devtensor.Tensor):
            return f"a tensor, ours {type(found).__name__}"
        if tuple(wanted.shape) != tuple(found.shape):
            return f"shape {tuple(wanted.shape)}, ours {tuple(found.shape)}"
        if DTYPES[wanted.dtype] is not found.dtype:
            return f"dtype {wanted.dtype}, ours {found.dtype}"
        return None if shapes_only else _numbers(wanted, found)
    if isinstance(wanted, torch.dtype):
        return None if DTYPES.get(wanted) is found else f"{wanted}, ours {found}"
    if isinstance(wanted, (bool, int, float, complex)):
        same = type(wanted) is type(found) and np.isclose(wanted, found, 1e-4, 0, equal_nan=True)
        return None if same else f"{wanted!r}, ours {found!r}"
    return None


def _numbers(wanted: Any, found: Any) -> str | None:
    left, right = to_numpy(wanted), to_numpy(found)
    near = NEAR.get(str(wanted.dtype).removeprefix("torch."))
    if near is None:
        good = left == right
    else:
        size = np.abs(np.where(np.isfinite(left), left, 0)).max(initial=1.0)
        with np.errstate(all="ignore"):
            good = np.isclose(left, right, rtol=near, atol=near * size, equal_nan=True)
    if good.all():
        return None
    wrong = ~good
    some = f"{left[wrong][:3]}, ours {right[wrong][:3]}"
    return f"{int(wrong.sum())} of {left.size} {wanted.dtype} numbers, {some}"
