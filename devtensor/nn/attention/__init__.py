"""Which kernel attention may use: kept and given back, for there is one way to compute it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from devtensor.backends.cuda import sdp_kernel
from devtensor.core.errors import ArgumentTypeError

__all__ = ["WARN_FOR_UNFUSED_KERNELS", "SDPBackend", "sdpa_kernel"]


class NoBackend(ArgumentTypeError, AssertionError):
    """What is neither an SDPBackend nor a list of them."""


class SDPBackend(enum.IntEnum):
    """PyTorch's kernels for attention; here all are MATH."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4

    def __str__(self) -> str:
        return f"SDPBackend.{self.name}"


@contextmanager
def sdpa_kernel(
    backends: SDPBackend | Iterable[SDPBackend], set_priority: bool = False
) -> Iterator[dict[str, bool]]:
    """Within it the settings of `devtensor.backends.cuda` say that attention may use these kernels.

    Errors: NoBackend (AssertionError) for what is no SDPBackend.
    """
    several = isinstance(backends, Iterable) and not isinstance(backends, SDPBackend)
    chosen: set[Any] = {*backends} if several else {backends}  # type: ignore[misc]
    if not all(isinstance(backend, SDPBackend) for backend in chosen):
        raise NoBackend(f"[sdpa_kernel] got {backends!r}; it needs an SDPBackend, or several")
    with sdp_kernel(
        enable_flash=SDPBackend.FLASH_ATTENTION in chosen,
        enable_math=SDPBackend.MATH in chosen,
        enable_mem_efficient=SDPBackend.EFFICIENT_ATTENTION in chosen,
        enable_cudnn=SDPBackend.CUDNN_ATTENTION in chosen,
    ):
        yield {}


# Kept for scripts that set it: no kernel is passed over, so there is nothing to warn of.
WARN_FOR_UNFUSED_KERNELS = False
