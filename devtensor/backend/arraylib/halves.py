"""Half types computed in float32: one wrapper that serves every kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.backend.protocol import Array, Kernel

MOVING = frozenset(
    {
        "abs",
        "all",
        "any",
        "arange",
        "as_strided",
        "bits_as",
        "cast",
        "cat",
        "conj",
        "copy",
        "diagonal",
        "embedding",
        "expand",
        "flip",
        "full",
        "gather",
        "getitem",
        "index_get",
        "index_select",
        "isfinite",
        "lay_out",
        "isinf",
        "isnan",
        "logical_and",
        "logical_not",
        "logical_or",
        "logical_xor",
        "neg",
        "nextafter",
        "nonzero",
        "overwrite",
        "pad",
        "permute",
        "random_integers",
        "random_normal",
        "random_uniform",
        "reshape",
        "roll",
        "scatter",
        "tril",
        "triu",
        "unfold",
        "where",
        "write",
    }
)
"""Kernels that add and multiply nothing: exact, and fast enough, in any dtype."""


Cast = Callable[[Array], Array]


def in_float32(kernel: Kernel, half: Any, up: Cast, down: Cast) -> Kernel:
    """The kernel for inputs of dtype `half`: they go `up` to float32, floating results come `down` again."""

    def widened(*arguments: Any) -> Any:
        result = kernel(*[up(x) if getattr(x, "dtype", None) == half else x for x in arguments])
        if isinstance(result, tuple):
            return tuple(narrowed(part) for part in result)
        return narrowed(result)

    def narrowed(result: Array) -> Array:
        return down(result) if result.dtype.kind == "f" else result

    return widened
