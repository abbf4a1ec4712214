"""oneDNN's settings, kept and given back: it is not used."""

from __future__ import annotations

from contextlib import AbstractContextManager

from devtensor.backends.flags import Flags, guard, held
from devtensor.backends.mkl import VERBOSE_OFF, VERBOSE_ON, verbose

__all__ = ["VERBOSE_OFF", "VERBOSE_ON", "flags", "is_available", "verbose"]

enabled = True
deterministic = False
allow_tf32 = True
fp32_precision = "none"
matmul = Flags("mkldnn.matmul", fp32_precision="none")
conv = Flags("mkldnn.conv", fp32_precision="none")
rnn = Flags("mkldnn.rnn", fp32_precision="none")

_KINDS = {
    "enabled": bool,
    "deterministic": bool,
    "allow_tf32": bool,
    "fp32_precision": ("none", "ieee", "tf32", "bf16"),
}


def is_available() -> bool:
    """Whether oneDNN is used: no."""
    return False


def flags(
    enabled: bool = False,
    deterministic: bool = False,
    allow_tf32: bool = True,
    fp32_precision: str = "none",
) -> AbstractContextManager[None]:
    """A context within which the settings are these."""
    return held(
        __name__,
        enabled=enabled,
        deterministic=deterministic,
        allow_tf32=allow_tf32,
        fp32_precision=fp32_precision,
    )


guard(__name__)
