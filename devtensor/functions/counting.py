"""Chances and running extremes: samples by weight, modes, differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import float32, int64
from devtensor.core.errors import DTypeError, IndexingError, OptionError, ShapeError
from devtensor.core.naming import named
from devtensor.core.spec import normalize_dim
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, describe
from devtensor.functions import results
from devtensor.functions.formats import copied, in_order
from devtensor.functions.joining import cat
from devtensor.functions.shaping import narrow
from devtensor.ops import reduce, scans
from devtensor.ops.compare import eq, isfinite, logical_xor, where
from devtensor.ops.create import cast, copy, full
from devtensor.ops.functions import log1p
from devtensor.ops.gathering import gather
from devtensor.ops.shape import getitem
from devtensor.ops.sort import ranked, searchsorted, sort
from devtensor.random import Generator, generator_for

__all__ = [
    "cummax",
    "cummin",
    "diff",
    "mode",
    "multinomial",
]


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Places drawn with the chances that the weights in the last dim give.

    Shapes: input (K,) or (N, K) -> (num_samples,) or (N, num_samples)
    Errors: OptionError for weights that are negative, not finite or all 0; or too few to draw from.
    Source: without replacement, the order of weights divided by exponential draws (Efraimidis and Spirakis,
    2006).
    """
    if input.array.ndim not in (1, 2) or not input.dtype.is_floating_point:
        raise DTypeError(
            f"[multinomial] prob_dist must be 1 or 2 dim, of floating point; got {describe(input)}"
        )
    count = input.array.shape[-1]
    if count > 2**24:
        raise ShapeError(f"[multinomial] number of categories cannot exceed 2^24; got {describe(input)}")
    if num_samples < 1 or (not replacement and num_samples > count):
        raise OptionError(
            f"[multinomial] cannot sample n_sample={num_samples} from {count} categories; cannot sample "
            "n_sample > prob_dist.size(-1) samples without replacement"
        )
    weights = input.detach()
    weights = cast(weights, float32) if weights.dtype.bits < 32 else weights
    _check_weights(weights)
    source = generator_for(input.device, generator)
    if replacement:
        return _with_replacement(weights, num_samples, source)
    draws = source.uniform(tuple(weights.array.shape), weights.dtype)
    keys = weights / -log1p(-draws)
    keys = where(eq(weights, 0), -1.0, keys)
    return in_order(ranked(keys, input.array.ndim - 1, 0, num_samples, True)[1])


def _with_replacement(weights: Tensor, num_samples: int, source: Generator) -> Tensor:
    """Each draw falls into an interval of the running sums; intervals of no width are never met."""
    sums = scans.cumsum(weights, -1)
    total = getitem(sums, (*(slice(None),) * (weights.array.ndim - 1), slice(-1, None)))
    draws = source.uniform((*weights.array.shape[:-1], num_samples), weights.dtype)
    found = searchsorted(sums, draws * total, True)
    last = reduce.sum(cast(sums < total, int64), -1, True)
    return where(found > last, last, found)


def _check_weights(weights: Tensor) -> None:
    """Look at the weights where that costs nothing: on the CPU, outside of capture."""
    if weights.device.type != "cpu" or any(hasattr(layer, "host_read") for layer in current().layers):
        return
    if not bool(reduce.all((weights >= 0) & isfinite(weights))):
        raise OptionError("[multinomial] probability tensor contains either `inf`, `nan` or element < 0")
    if not bool(reduce.all(reduce.any(weights > 0, -1))):
        raise OptionError(
            "[multinomial] invalid multinomial distribution (sum of probabilities <= 0); some weight must be "
            "positive"
        )


def _running(name: str, largest: bool, result: Any) -> Callable:
    def running(input: Tensor, dim: int) -> Any:
        at = normalize_dim(name, dim, input.array.ndim)
        if not input.array.ndim or not input.shape.numel():
            return result(copy(input), full(tuple(input.array.shape), 0, int64, input.device))
        if input.dtype.is_complex:
            raise DTypeError(f"[{name}] not implemented for {describe(input)}; complex numbers have no order")
        places = scans.extreme_places(input.detach(), at, largest)
        return result(gather(input, places, at), in_order(places))

    return named(
        running, name, f"{'Largest' if largest else 'Smallest'} value so far along `dim`, and its last place."
    )


cummax = _running("cummax", True, results.cummax)
cummin = _running("cummin", False, results.cummin)


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The value that occurs most often along `dim`, the smallest of such, and its last place."""
    if not input.array.ndim:
        return results.mode(copy(input), full((), 0, int64, input.device))
    at = normalize_dim("mode", dim, input.array.ndim)
    if not input.array.shape[at]:
        raise IndexingError(f"[mode] {describe(input)}: Expected reduction dim {dim} to have non-zero size.")
    values, places = sort(input, at, False)
    lead = (slice(None),) * (at + 1)
    same = eq(getitem(values, (*lead, None)), _with_new(values, at))
    often = reduce.sum(cast(same, int64), at + 1)
    first = reduce.argmax(often, at, True)
    last = first + gather(often, first, at) - 1
    found = gather(values, last, at), gather(places, last, at)
    if not keepdim:
        found = tuple(getitem(t, (*(slice(None),) * at, 0)) for t in found)
    return results.mode(*found)


def _with_new(values: Tensor, at: int) -> Tensor:
    """A dim of size 1 before dim `at`, so that every value meets every other."""
    return getitem(values, (*(slice(None),) * at, None))


def diff(
    input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Differences of neighbours along `dim`, `n` times over.

    Shapes: input (..., S, ...) -> (..., S - n, ...)
    """
    if not input.array.ndim:
        raise ShapeError("[diff] diff expects input to be at least one-dimensional")
    at = normalize_dim("diff", dim, input.array.ndim)
    if n < 0:
        raise OptionError(f"[diff] order must be non-negative but got {n}")
    if n == 0:
        return copied("diff", input, "preserve_format")
    parts = [t for t in (prepend, input, append) if t is not None]
    made = cat(parts, at) if len(parts) > 1 or not input.array.shape[at] else input
    for _ in range(min(n, made.array.shape[at])):
        size = made.array.shape[at]
        late, early = narrow(made, at, 1, size - 1), narrow(made, at, 0, size - 1)
        made = logical_xor(late, early) if made.dtype.bits == 1 else late - early
    return made


METHODS: dict[str, Callable] = {f.__name__: f for f in (cummax, cummin, diff, mode, multinomial)}
