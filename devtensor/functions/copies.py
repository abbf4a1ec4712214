"""PyTorch's `*_copy` functions, which give what a view shows in memory of its own, and `unsafe_` splits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import DType, int64
from devtensor.core.errors import ShapeError
from devtensor.core.naming import named
from devtensor.core.spec import broadcast_shapes
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.out import into
from devtensor.ops.create import cast, copy
from devtensor.ops.parts import view_as_complex, view_as_real
from devtensor.ops.reduce import sum_to

# The view's name, and the method that gives it.
VIEWS = {
    name: name
    for name in (
        "as_strided", "detach", "diagonal", "expand", "permute", "select", "split", "squeeze", "t",
        "transpose", "unbind", "unfold", "unsqueeze", "view",
    )
} | {"alias": "view_as", "split_with_sizes": "split"}  # fmt: skip


def _copied(name: str, method: str) -> Callable:
    """The view with fresh memory for its result, or its results."""

    def copied(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        arguments = (input,) if method == "view_as" else args
        # What cannot be viewed in another shape is copied anyhow.
        chosen = "reshape" if method == "view" and not isinstance(args[0], DType) else method
        found = getattr(input, chosen)(*arguments, **kwargs)
        if isinstance(found, Tensor):
            return into(out, copy(found))
        made = tuple(copy(part) for part in found)
        if out is None:
            return made
        into(out, made)
        return None

    return named(copied, f"{name}_copy", f"What `{name}` gives, in memory of its own.")


def narrow_copy(input: Tensor, dim: int, start: int, length: int, *, out: Tensor | None = None) -> Tensor:
    """What `narrow` gives, in memory of its own.

    Errors: ShapeError for a dim too large, where `narrow` has an IndexError; IndexError else.
    """
    ndim = input.array.ndim
    if ndim and dim >= ndim:
        raise ShapeError(f"[narrow_copy] dim {dim} is out of range for {describe(input)}")
    return into(out, copy(input.narrow(dim, start, length)))


COPIES = {f"{name}_copy": _copied(name, method) for name, method in VIEWS.items()}
COPIES["narrow_copy"] = narrow_copy


def view_as_real_copy(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """What `view_as_real` gives, in memory of its own."""
    return into(out, copy(view_as_real(input)))


def view_as_complex_copy(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """What `view_as_complex` gives, in memory of its own."""
    return into(out, copy(view_as_complex(input)))


def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`chunk`; in PyTorch without the check of in-place writes, which costs nothing here."""
    return input.chunk(chunks, dim)


def unsafe_split(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`split`; in PyTorch without the check of in-place writes, which costs nothing here."""
    return input.split(split_size, dim)


def unsafe_split_with_sizes(input: Tensor, split_sizes: list[int], dim: int = 0) -> tuple[Tensor, ...]:
    """`split` by sizes; in PyTorch without the check of in-place writes, which costs nothing here."""
    return input.split(split_sizes, dim)


def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """The sum over the dimensions along which a tensor of this size would be expanded.

    Errors: ShapeError if it could not be.
    """
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    if broadcast_shapes("sum_to_size", [shape, self.array.shape]) != tuple(self.array.shape):
        raise ShapeError(
            f"[sum_to_size] size {list(shape)} is not expandable to size {list(self.array.shape)}"
        )
    made = sum_to(self, shape)
    summed = not shape or shape != tuple(self.array.shape)
    return cast(made, int64) if summed and not self.kind.dtype.differentiable else made


def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like `input` that holds `value` everywhere."""
    return copy(input).fill_(value)


UNSAFE = {f.__name__: f for f in (unsafe_chunk, unsafe_split, unsafe_split_with_sizes)}
METHODS: dict[str, Callable] = UNSAFE | {"narrow_copy": COPIES["narrow_copy"], "sum_to_size": sum_to_size}
globals().update(COPIES)
__all__ = [*COPIES, *UNSAFE, "fill", "view_as_complex_copy", "view_as_real_copy"]
