"""Tables of rows that indices name, and what is looked up in them."""

from __future__ import annotations

from typing import Any

from devtensor.core.arguments import as_index
from devtensor.core.dtype import int64
from devtensor.core.errors import ArgumentError, DevtensorError, DTypeError, ShapeError
from devtensor.core.inplace import write
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.functions.formats import in_order
from devtensor.nn.functional.geometry import floats_only, may_look
from devtensor.ops.compare import eq, gt, logical_and, lt, ne, where
from devtensor.ops.create import arange, cast, full
from devtensor.ops.extremes import maximum, minimum
from devtensor.ops.gathering import gather
from devtensor.ops.index import embedding as _rows
from devtensor.ops.index import embedding_grad
from devtensor.ops.lengths import vector_norm
from devtensor.ops.reduce import amax, amin, argmax
from devtensor.ops.shape import as_shape
from devtensor.ops.sort import searchsorted

__all__ = ["embedding", "embedding_bag", "one_hot"]


class TableError(DevtensorError, AssertionError):
    """A table that does not have the shape that it should, or no row to pad with."""


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` that `input` names; the row `padding_idx` receives no gradient.

    With `max_norm`, named rows that are longer are shortened in `weight` itself first. `scale_grad_by_freq`
    divides a row's gradient by how often it is named. Gradients are dense, whatever `sparse` says.

    Shapes: input (*I), weight (V, D) -> (*I, D)
    Errors: IndexingError if an index is not in [0, V); TableError for a padding_idx outside the table.
    """
    _check_index("embedding", "input", input)
    if weight.array.ndim != 2:
        raise ShapeError("[embedding] 'weight' must be 2-D, one row per index")
    count = weight.array.shape[0]
    if padding_idx is not None and not -count <= as_index("embedding", "padding_idx", padding_idx) < count:
        raise TableError(f"[embedding] padding_idx {padding_idx} must be within num_embeddings, {count}")
    if max_norm is not None:
        shorten("embedding", weight, input, max_norm, norm_type)
    rows = _rows(weight, input)
    if not rows.requires_grad:
        return rows
    if scale_grad_by_freq:
        rows = _by_frequency(rows, input, count)
    if padding_idx is None:
        return rows
    padding = eq(input, padding_idx % count).unsqueeze(-1)  # type: ignore[attr-defined]
    return where(padding, rows.detach(), rows)


def _check_index(op: str, name: str, index: Any) -> None:
    if not isinstance(index, Tensor) or index.kind.dtype.name not in ("int32", "int64"):
        given = index.kind.dtype.name if isinstance(index, Tensor) else type(index).__name__
        raise DTypeError(f"[{op}] Expected tensor for argument {name} to have int64 or int32; got {given}")


def _named(index: Any, count: int, dtype: Any) -> Any:
    """How often each of `count` rows is named."""
    flat = as_shape(index, (index.shape.numel(),))
    ones = full((flat.array.shape[0], 1), 1, dtype, index.kind.device)
    return embedding_grad(ones, flat, count)


def shorten(op: str, weight: Any, index: Any, max_norm: float, norm_type: float) -> None:
    """Scale rows that are named and longer than `max_norm` down to it, in place."""
    if weight.array.ndim != 2:
        raise ShapeError(
            f"[{op}] weight {tuple(weight.array.shape)}: 'weight' must be 2-D, one row per index"
        )
    with no_grad():
        table = weight.detach()
        lengths = vector_norm(table, (1,), True, norm_type)
        named = gt(_named(index, weight.array.shape[0], "float32"), 0)
        long = logical_and(named, gt(lengths, max_norm))
        write(weight, table * where(long, max_norm / (lengths + 1e-7), 1.0))


def _by_frequency(rows: Any, index: Any, count: int) -> Any:
    """The same rows, whose gradients are divided by how often each row is named."""
    share = 1.0 / _rows(_named(index, count, rows.kind.dtype), index)
    fixed = rows.detach()
    return fixed + (rows - fixed) * share


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the place that each element names, 0 elsewhere; without `num_classes`, one more than the largest.

    Shapes: tensor (*S), int64 -> (*S, num_classes)
    Errors: DTypeError for anything but int64; ShapeError for a class that is negative or too large.
    """
    if tensor.kind.dtype is not int64:
        raise DTypeError(
            f"[one_hot] one_hot is only applicable to index tensor of type int64, got {tensor.kind.dtype}"
        )
    empty = not tensor.shape.numel()
    if num_classes < 0 and empty:
        raise ShapeError(
            "[one_hot] Can not infer total number of classes from empty tensor; give num_classes"
        )
    if may_look(tensor):
        _check_classes(tensor, num_classes)
    if num_classes < 0:
        num_classes = int(amax(tensor).item()) + 1
    classes = arange(0, 1, num_classes, "int64", tensor.kind.device)
    return cast(eq(in_order(tensor).unsqueeze(-1), classes), int64)  # type: ignore[attr-defined]


def _check_classes(tensor: Tensor, num_classes: int) -> None:
    if int(amin(tensor).item()) < 0:
        raise ShapeError("[one_hot] Class values must be non-negative.")
    if 0 <= num_classes <= int(amax(tensor).item()):
        raise ShapeError("[one_hot] Class values must be smaller than num_classes.")


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sum, mean or maximum of the rows of `weight` that each bag of indices names.

    Bags are the rows of a 2-D `input`, or begin at `offsets` in a 1-D one. `padding_idx` counts in no bag; an
    empty bag gives zeros. Gradients are dense, whatever `sparse` says.

    Shapes: input (B, L), or (M,) with offsets (B,); weight (V, D), per_sample_weights as input -> (B, D)
    Errors: ArgumentError for arguments that do not go together; IndexingError if an index is not in [0, V).
    """
    if weight.kind.dtype is int64 and input.kind.dtype.is_floating_point:
        input, weight = weight, input
    _check_index("embedding_bag", "input", input)
    floats_only("embedding_bag", weight)
    indices, bags, count = _bags(input, offsets, include_last_offset)
    _check_range(indices, weight.array.shape[0])
    _check_bag(input, mode, scale_grad_by_freq, per_sample_weights)
    if max_norm is not None:
        shorten("embedding_bag", weight, indices, max_norm, norm_type)
    if padding_idx is not None:
        padding_idx = _inside("embedding_bag", padding_idx, weight.array.shape[0])
    rows: Any = _rows(weight, indices)
    if scale_grad_by_freq and rows.requires_grad:
        rows = _by_frequency(rows, indices, weight.array.shape[0])
    if per_sample_weights is not None:
        rows = rows * as_shape(per_sample_weights, (*indices.array.shape, 1))
    kept = None if padding_idx is None else ne(indices, padding_idx)
    return _largest(rows, bags, count, kept) if mode == "max" else _added(rows, bags, count, kept, mode)


def _added(rows: Any, bags: Any, count: int, kept: Any, mode: str) -> Any:
    """The sum or the mean of each bag's rows."""
    sums = _summed(rows, bags, count, kept)
    if mode == "sum":
        return sums
    ones = full((rows.array.shape[0], 1), 1, rows.kind.dtype, rows.kind.device)
    return sums / maximum(_summed(ones, bags, count, kept), 1.0)


def _summed(rows: Any, bags: Any, count: int, kept: Any) -> Any:
    """The sum of each bag's rows, without those that are not kept."""
    counted = rows if kept is None else where(kept.unsqueeze(1), rows, 0.0)
    return embedding_grad(counted, bags, count)


def _inside(op: str, place: int, count: int) -> int:
    if not -count <= place < count:
        raise ShapeError(f"[{op}] padding_idx {place} must be within the number of embeddings, {count}")
    return place % count


def _bags(input: Any, offsets: Any, include_last_offset: bool) -> tuple[Any, Any, int]:
    """Indices in a row, the bag of each, and how many bags there are."""
    device = input.kind.device
    if input.array.ndim == 2:
        if offsets is not None:
            raise ArgumentError(
                "[embedding_bag] if input is 2D, then offsets has to be None, as input is treated is a "
                "mini-batch of fixed length sequences."
            )
        bags, length = input.array.shape
        flat = as_shape(input, (bags * length,))
        return flat, arange(0, 1, bags * length, "int64", device) // max(length, 1), bags
    if input.array.ndim != 1:
        raise ArgumentError(
            f"[embedding_bag] input has to be 1D or 2D Tensor, but got Tensor of dimension {input.array.ndim}"
        )
    if offsets is None or offsets.array.ndim != 1:
        raise ArgumentError("[embedding_bag] offsets has to be a 1D Tensor for a 1D input")
    _check_index("embedding_bag", "offsets", offsets)
    starts = cast(offsets, "int64")
    if may_look(starts) and int(starts[0].item()):
        raise ShapeError(
            "[embedding_bag] offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start "
            f"from position 0. However, got {int(starts[0].item())}"
        )
    if include_last_offset:
        starts = starts[:-1]
    places = arange(0, 1, input.array.shape[0], "int64", device)
    return input, searchsorted(starts, places, True) - 1, starts.array.shape[0]


def _check_range(indices: Any, rows: int) -> None:
    if may_look(indices) and not 0 <= int(amin(indices).item()) <= int(amax(indices).item()) < rows:
        raise ShapeError(f"[embedding_bag] indices must be in the valid range [0, {rows})")


def _check_bag(input: Any, mode: str, scaled: bool, shares: Any) -> None:
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError("[embedding_bag] mode has to be one of sum, mean or max")
    if mode == "max" and scaled:
        raise ArgumentError("[embedding_bag] max mode does not support scaling the gradient by the frequency")
    if shares is None:
        return
    if mode != "sum":
        raise ArgumentError(
            "[embedding_bag] per_sample_weights was not None. per_sample_weights is only supported for mode="
            f"'sum' (got mode='{mode}')"
        )
    if tuple(shares.array.shape) != tuple(input.array.shape):
        raise ArgumentError(
            f"[embedding_bag] If per_sample_weights ({list(shares.shape)}) is not None, then it must have "
            f"the same shape as the input ({list(input.shape)})"
        )


def _largest(rows: Any, bags: Any, count: int, kept: Any) -> Any:
    """The largest of each bag, whose longest length the host must know."""
    device, size = rows.kind.device, rows.array.shape[0]
    counted = full((size, 1), 1, "float64", device)
    counted = counted if kept is None else where(kept.unsqueeze(1), counted, 0.0)
    lengths = as_shape(
        cast(embedding_grad(full((size, 1), 1, "float64", device), bags, count), int64), (count,)
    )
    longest = int(amax(lengths).item()) if count else 0
    if not longest:
        return full((count, rows.array.shape[1]), 0, rows.kind.dtype, device)
    starts = searchsorted(bags, arange(0, 1, count, "int64", device), False).unsqueeze(1)
    steps = arange(0, 1, longest, "int64", device)
    inside: Any = lt(steps, lengths.unsqueeze(1))
    places = minimum(starts + steps, size - 1)
    if kept is not None:
        inside = logical_and(inside, kept[places])
    seen = where(inside.unsqueeze(2), _rows(rows, places), float("-inf"))
    some: Any = gt(embedding_grad(counted, bags, count), 0)
    return where(some, _first_largest(where(some.unsqueeze(2), seen, 0.0)), 0.0)


def _first_largest(seen: Any) -> Any:
    """The largest along dim 1, whose first occurrence alone receives the gradient."""
    return as_shape(gather(seen, argmax(seen, 1, True), 1), (seen.array.shape[0], seen.array.shape[2]))
