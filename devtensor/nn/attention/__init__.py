"""Which kernel attention may use: kept and given back, for there is one way to compute it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from devtensor.backends.cuda import sdp_kernel
from devtensor.core.errors import ArgumentTypeError

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(enum.IntEnum):
    """PyTorch's kernels for attention; here all are MATH."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(
    backends: SDPBackend | Iterable[SDPBackend], set_priority: bool = False
) -> Iterator[dict[str, bool]]:
    """Within it the settings of `devtensor.backends.cuda` say that attention may use these kernels.

    Errors: ArgumentTypeError for what is no SDPBackend.
    """
    chosen = {backends} if isinstance(backends, SDPBackend) else {*backends}
    if not all(isinstance(backend, SDPBackend) for backend in chosen):
        raise ArgumentTypeError(f"[sdpa_kernel] got {backends!r}; it needs an SDPBackend, or several")
    with sdp_kernel(
        enable_flash=SDPBackend.FLASH_ATTENTION in chosen,
        enable_math=SDPBackend.MATH in chosen,
        enable_mem_efficient=SDPBackend.EFFICIENT_ATTENTION in chosen,
        enable_cudnn=SDPBackend.CUDNN_ATTENTION in chosen,
    ):
        yield {}
