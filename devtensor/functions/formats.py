"""Copies in the layout that a memory format asks for."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentTypeError
from devtensor.core.layout import (
    FORMATS,
    Strides,
    elementwise_strides,
    format_strides,
    is_in_format,
    same_strides,
    strides_like,
    suggested_format,
)
from devtensor.core.placement import column_strides
from devtensor.core.spec import contiguous_strides
from devtensor.core.tensor import Tensor, in_rows, strides_of
from devtensor.ops.create import copy, lay_out

__all__: list[str] = []


def format_name(op: str, memory_format: Any, default: str = "preserve_format") -> str:
    """The name of a memory format, or of the default.

    Errors: ArgumentTypeError for what is none.
    """
    name = default if memory_format is None else getattr(memory_format, "name", None)
    if name not in ("preserve_format", "contiguous_format", *FORMATS):
        raise ArgumentTypeError(
            f"[{op}] memory_format must be a torch.memory_format, not {type(memory_format).__name__}"
        )
    return name


def copied(op: str, source: Tensor, name: str) -> Tensor:
    """A copy in a memory format; one that is preserved is the source's own, without gaps."""
    if name in ("preserve_format", "contiguous_format") and in_rows(source):
        return copy(source)
    shape = tuple(source.array.shape)
    strides = format_strides(op, shape, name)
    return lay_out(source, strides_like(shape, strides_of(source)) if strides is None else strides)


def brought(op: str, source: Tensor, name: str) -> Tensor:
    """The tensor itself if it lies in the memory format, else a copy that does."""
    if name == "preserve_format" or (name == "contiguous_format" and in_rows(source)):
        return source
    format_strides(op, tuple(source.array.shape), name)
    return source if is_in_format(source.array.shape, strides_of(source), name) else copied(op, source, name)


def like(made: Tensor, model: Tensor, memory_format: Any) -> Tensor:
    """A fresh tensor in the layout of `model`, or in the format that is asked for."""
    if memory_format is None and in_rows(model):
        return made
    name = format_name("like", memory_format)
    if name in ("preserve_format", "contiguous_format") and (name == "contiguous_format" or in_rows(model)):
        return made
    shape = tuple(made.array.shape)
    strides = format_strides("like", shape, name)
    strides = strides_like(shape, strides_of(model)) if strides is None else strides
    return made if strides == strides_of(made) else lay_out(made, strides)


def placed(made: Tensor, strides: Strides) -> Tensor:
    """A fresh tensor in this layout."""
    return made if same_strides(made.array.shape, strides_of(made), strides) else lay_out(made, strides)


def product(first: Tensor, second: Tensor) -> Tensor:
    """The product of tensors that broadcast, laid out as their strides say, those of sizes of 1 too."""
    made = first * second
    shape = tuple(made.array.shape)
    operands = [(tuple(t.array.shape), _meant_strides(t)) for t in (first, second)]
    strides = elementwise_strides(shape, operands)
    return made if same_strides(shape, strides_of(made), strides) else lay_out(made, strides)


def _meant_strides(tensor: Tensor) -> Strides:
    """The strides; of fresh memory in rows as they are counted, where a library chose those of sizes of 1."""
    fresh = not (tensor.alias is not None and tensor.alias.chain) and in_rows(tensor)
    return contiguous_strides(tensor.array.shape) if fresh else strides_of(tensor)


def in_order(made: Tensor) -> Tensor:
    """A fresh tensor in rows."""
    return made if in_rows(made) else lay_out(made, contiguous_strides(made.array.shape))


def in_columns(made: Tensor) -> Tensor:
    """Fresh matrices, or a batch of vectors as if it were one, column by column."""
    return placed(made, column_strides(tuple(made.array.shape))) if made.array.ndim > 1 else made


def channels_like(made: Tensor, model: Tensor) -> Tensor:
    """A fresh tensor with its channels innermost if those of `model` are."""
    if in_rows(model):
        return in_order(made)
    name = suggested_format(model.array.shape, strides_of(model))
    strides = format_strides("like", made.array.shape, name or "contiguous_format")
    return placed(made, strides)  # type: ignore[arg-type]
