"""Functions of a place in attention's scores, called once for all places.

A mask function takes (batch, head, q_idx, kv_idx) and says whether the query looks at the key; a score
function takes the score before them and gives another. They are called with tensors that broadcast over all
places.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import DevtensorError, OptionError, ShapeError
from devtensor.core.spec import broadcast_shapes
from devtensor.core.tensor import Tensor
from devtensor.functions.joining import stack
from devtensor.functions.ranges import arange
from devtensor.ops.create import full
from devtensor.ops.shape import expand

ModFunction = Callable[..., Tensor]


class ModError(DevtensorError, AssertionError):
    """A function that takes neither the arguments of a mask function nor those of a score function."""


def noop_mask(batch: Tensor, head: Tensor, token_q: Tensor, token_kv: Tensor) -> Tensor:
    """Everything is seen."""
    return full((), True, "bool", batch.kind.device)


def _all_of(name: str, mask_mods: tuple[ModFunction, ...]) -> None:
    if not all(callable(mod) for mod in mask_mods):
        raise OptionError(f"[{name}] All inputs should be callable mask_mods: {mask_mods}")


def or_masks(*mask_mods: ModFunction) -> ModFunction:
    """A mask function that is true where one of the given is.

    Errors: OptionError (RuntimeError) for what cannot be called.
    """
    _all_of("or_masks", mask_mods)

    def or_mask(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        result = full((), False, "bool", b.kind.device)
        for mod in mask_mods:
            result = result | mod(b, h, q_idx, kv_idx)
        return result

    return or_mask


def and_masks(*mask_mods: ModFunction) -> ModFunction:
    """A mask function that is true where all of the given are.

    Errors: OptionError (RuntimeError) for what cannot be called.
    """
    _all_of("and_masks", mask_mods)

    def and_mask(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        result = full((), True, "bool", b.kind.device)
        for mod in mask_mods:
            result = result & mod(b, h, q_idx, kv_idx)
        return result

    return and_mask


def takes_scores(mod: ModFunction) -> bool:
    """Whether a function is a score function, by the number of its arguments without a default.

    Errors: ModError unless that is 4 or 5.
    """
    parameters = inspect.signature(mod).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    count = sum(1 for p in parameters if p.kind in positional and p.default is inspect.Parameter.empty)
    if count not in (4, 5):
        raise ModError(f"[flex_attention] Expected 4 or 5 positional args, got {count}")
    return count == 5


def everywhere(mod: ModFunction, sizes: tuple[int, int, int, int], device: Any, *scores: Any) -> Tensor:
    """What a function gives at all places, or for all scores.

    A function that mixes places, because it expects numbers and reduces what it reads, is called for each.

    Shapes: sizes are B, H, Q, KV; scores (B, H, Q, KV) -> (B, H, Q, KV)
    """
    if mod is noop_mask:
        return expand(noop_mask(full((), 0, "int64", device), *(None,) * 3), sizes)  # type: ignore[arg-type]
    places = [
        arange(size, device=device).reshape([-1 if dim == other else 1 for other in range(4)])
        for dim, size in enumerate(sizes)
    ]
    try:
        found: Any = mod(*scores, *places)
        if len(found.shape) == 4 and broadcast_shapes("flex_attention", [tuple(found.shape), sizes]) == sizes:
            return expand(found, sizes)
    except (ShapeError, IndexError):
        pass
    return _one_by_one(mod, [place.reshape(-1) for place in places], list(scores))


def _one_by_one(mod: ModFunction, places: list[Any], scores: list[Any], *at: Any) -> Tensor:
    """The results of calls with single numbers, stacked."""
    if not places:
        return mod(*scores, *at)
    return stack(
        [
            _one_by_one(mod, places[1:], [score[k] for score in scores], *at, places[0][k])
            for k in range(places[0].shape[0])
        ]
    )


def create_mask(
    mod_fn: ModFunction, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None
) -> Tensor:
    """The mask of a mask function, or of a score function: False where it gives minus infinity.

    Shapes: -> (B, H, Q_LEN, KV_LEN)
    Errors: ModError (AssertionError) for a function with other arguments.
    """
    place = arange(0, device=device).kind.device
    sizes = (B or 1, H or 1, Q_LEN, KV_LEN)
    if takes_scores(mod_fn):
        return everywhere(mod_fn, sizes, place, full(sizes, 0, "float32", place)) != -math.inf
    return everywhere(mod_fn, sizes, place)
