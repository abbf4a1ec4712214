"""Levels: a device type for every nesting of vmap, whose arrays are tensors of the level below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from devtensor.batching.arrays import BatchedArray, counts
from devtensor.batching.backend import BatchedBackend
from devtensor.core.device import Device
from devtensor.core.dispatch import call
from devtensor.core.errors import AutogradError
from devtensor.core.inplace import apply_inplace
from devtensor.core.op import OPS, Op
from devtensor.core.state import Layer, current, switched
from devtensor.core.tensor import Tensor, share, wrap


def level_of(device: Device, depth: int) -> Device:
    """The device of tensors that lie on `device` under so many vmaps."""
    while len(device.under) < depth:
        above = Device(f"vmap({device.type})", device.index)
        if above._backend is None:
            above._backend = BatchedBackend(device)
            above.under = (device, *device.under)
        device = above
    return device


def raised(value: Tensor) -> Tensor:
    """The tensor on the level of the innermost vmap at work, so that its gradients may differ by example."""
    depth = len(counts.get())
    if len(value.kind.device.under) == depth:
        return value
    device = level_of(value.kind.device, depth)
    return device.backend.lift(value, device)


def all_examples(value: Tensor) -> Tensor:
    """The tensor below all levels, examples in front: for questions that are asked of all at once."""
    while value.kind.device.under:
        value = value.array.value
    return value


class Examples(Layer):
    """One vmap at work: what it makes of tensors, and what random ops do meanwhile.

    `randomness` is "error" (random ops are refused), "different" (every example draws its own numbers) or
    "same" (one draw serves all).
    """

    rank = 28

    def __init__(self, count: int, randomness: str) -> None:
        self.count = count
        self.randomness = randomness
        self.recording = current().grad

    def __enter__(self) -> Any:
        outer = counts.get()
        self.depth = len(outer) + 1
        self._token = counts.set((*outer, self.count))
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        counts.reset(self._token)

    def seen(self, value: Tensor, dim: int | None) -> Tensor:
        """The tensor as one example sees it: without the dim that counts them."""
        if dim is None:
            return value
        ndim = value.array.ndim
        if dim:
            order = (dim, *(d for d in range(ndim) if d != dim))
            value = call(OPS["permute"], (value,), (order,))
        return self._over(value)

    def _over(self, value: Tensor) -> Tensor:
        device = level_of(value.kind.device, self.depth)
        below = device.under[0]
        raised = value if value.kind.device is below else below.backend.lift(value, below)
        return wrap(BatchedArray(raised, True), device.kind(value.kind.dtype))

    def gathered(self, value: Tensor, dim: int | None) -> Tensor:
        """A result with the dim that counts the examples, at `dim`; None leaves out a dim that is not there.

        Errors: ValueError if it is.
        """
        array, batched = value.array, False
        if len(value.kind.device.under) >= self.depth:
            value, batched = array.value, array.batched
        if not self.recording and value.requires_grad:
            value = share(value)
        if dim is None:
            if batched:
                raise ValueError("[vmap] a result differs from example to example, but its out_dim is None")
            return value
        if not batched:
            value = call(OPS["expand"], (value,), ((self.count, *value.array.shape),))
        if dim:
            order = (*range(1, dim + 1), 0, *range(dim + 1, value.array.ndim))
            value = call(OPS["permute"], (value,), (order,))
        return value

    def call(self, op: Op, inputs: tuple, params: tuple, below: Any) -> Any:
        if not op.name.startswith("random_") or self.randomness == "same":
            return below(op, inputs, params)
        if self.randomness == "error":
            raise AutogradError(
                "[vmap] called random operation while in randomness error mode. Please either use the 'same' "
                "or 'different' randomness flags on vmap or perform the randomness operation out of vmap"
            )
        place = op.parameters.index("shape")
        shape = (self.count, *params[place])
        made = below(op, inputs, (*params[:place], shape, *params[place + 1 :]))
        self._advance(inputs[0], (self.count - 1) * prod(params[place]))
        return self._over(made)

    @staticmethod
    def _advance(state: Tensor, words: int) -> None:
        """Move a random state on by what was drawn beyond the one example that the caller knows of."""
        if words > 0:
            with switched(grad=False):
                apply_inplace(OPS["add"], call(OPS["getitem"], (state,), ((slice(1, 2),),)), (words,), ())

    def host_read(self, tensor: Tensor, asked: str) -> None:
        array = tensor.array
        if isinstance(array, BatchedArray) and array.batched:
            raise AutogradError(
                f"[vmap] {asked} reads numbers of a tensor that differs from example to example; vmap cannot "
                "follow them into Python. Use where() in place of if, and return the tensor"
            )


def mapped(
    function: Callable[[Tensor], Sequence], rows: Tensor, chunk_size: int | None = None
) -> list[Tensor]:
    """What the function, which gives several tensors, gives for every row, rows in front again.

    `chunk_size` is how many rows go at once; None means all.
    """
    count = rows.array.shape[0]
    size = max(count if chunk_size is None else chunk_size, 1)
    lots = []
    for first in range(0, max(count, 1), size):
        part = rows if size >= count else call(OPS["getitem"], (rows,), ((slice(first, first + size),),))
        with Examples(part.array.shape[0], "same") as level:
            lots.append([level.gathered(value, 0) for value in function(level.seen(part, 0))])
    return [
        column[0] if len(column) == 1 else call(OPS["cat"], column, (0,))
        for column in zip(*lots, strict=True)
    ]


def in_turn(function: Callable[[Tensor], Sequence], rows: Tensor) -> list[Tensor]:
    """The same, one row after the other."""
    count = rows.array.shape[0]
    if not count:
        return mapped(function, rows)
    given = [function(call(OPS["getitem"], (rows,), ((k,),))) for k in range(count)]
    return [
        call(OPS["cat"], tuple([call(OPS["getitem"], (value,), ((None,),)) for value in column]), (0,))
        for column in zip(*given, strict=True)
    ]
