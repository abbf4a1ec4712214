"""Casts that autocast makes: of one input, of tensors in nested arguments, and of weights, which are kept."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from devtensor.amp.settings import HALVES, is_autocast_cache_enabled, kept_casts
from devtensor.core.dtype import FLOAT, DType, float32, float64, promote
from devtensor.core.errors import AutogradError
from devtensor.core.state import current
from devtensor.core.tensor import Tensor
from devtensor.ops.create import cast


class WeightCasts:
    """Casts of weights, made once: a weight used twice is cast once, and its gradient is one cast.

    A cast is used again only while the weight's memory is as it was. While a graph is captured that began
    inside the region none is used, since the graph must contain its own.
    """

    def __init__(self) -> None:
        self.listening = host_reads_refused()
        self.made: dict[tuple[Tensor, DType], tuple[Any, int, Tensor]] = {}

    def cast(self, weight: Tensor, dtype: DType) -> Tensor:
        """The weight in `dtype`."""
        if host_reads_refused() is not self.listening:
            return cast(weight, dtype)
        key = weight, dtype
        array, version, made = self.made.get(key, (None, 0, weight))
        if array is not weight.array or version != weight._version:
            made = cast(weight, dtype)
            self.made[key] = weight.array, weight._version, made
        return made


def host_reads_refused() -> bool:
    """Whether some layer, such as a capture, forbids to read a tensor's numbers."""
    return any(hasattr(layer, "host_read") for layer in current().layers)


def eligible(value: Any, device_type: str) -> bool:
    """Whether autocast on this device type may cast the value: a floating-point tensor of at most 32 bits."""
    if not isinstance(value, Tensor):
        return False
    kind = value.kind
    return kind.dtype.category == FLOAT and kind.dtype is not float64 and kind.place.type == device_type


def widest(tensors: Sequence[Tensor]) -> DType | None:
    """The dtype in which eligible tensors meet; None if they have but one."""
    dtypes = {t.kind.dtype for t in tensors}
    return None if len(dtypes) < 2 else functools.reduce(promote, dtypes)


def refuse_other_half(name: str, tensors: Sequence[Tensor], lower: DType) -> None:
    """Refuse what PyTorch's autocast cannot bring together: the half type that is not the region's, before
    a float32 tensor.

    Errors: AutogradError.
    """
    for tensor in tensors:
        dtype = tensor.kind.dtype
        if dtype is float32:
            return
        if dtype is not lower:
            raise AutogradError(
                f"[{name}] Unexpected floating dtype {dtype} in a region of {lower}, where tensors meet in "
                "the widest; convert with .float() first"
            )


def cast_input(value: Any, dtype: DType, device_type: str) -> Any:
    """The value in `dtype` if it may be cast; a weight's cast is kept."""
    if not eligible(value, device_type) or value.kind.dtype is dtype:
        return value
    weight = value.requires_grad and value.node is None and value.kind.dtype is float32 and dtype in HALVES
    viewed = value.alias is not None and value.alias.chain
    if weight and not viewed and is_autocast_cache_enabled() and current().grad:
        return kept_casts(WeightCasts).cast(value, dtype)
    return cast(value, dtype)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested sequences and mappings."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def cast_nested(value: Any, dtype: DType, device_type: str) -> Any:
    """Nested sequences and mappings with what may be cast in `dtype`."""
    if isinstance(value, Tensor):
        return cast_input(value, dtype, device_type)
    if isinstance(value, dict):
        return {key: cast_nested(item, dtype, device_type) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)([cast_nested(item, dtype, device_type) for item in value])
    return value
