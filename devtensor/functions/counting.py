"""Counting, chances and running extremes: histograms, samples by weight, differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import FLOAT, float32, int64
from devtensor.core.errors import ArgumentError, DTypeError, ShapeError
from devtensor.core.spec import normalize_dim
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, describe
from devtensor.functions import results
from devtensor.functions.joining import cat
from devtensor.functions.shaping import narrow
from devtensor.ops import reduce
from devtensor.ops.compare import eq, isfinite, logical_xor, where
from devtensor.ops.create import arange, cast, full
from devtensor.ops.elementwise import floor
from devtensor.ops.functions import log1p
from devtensor.ops.index import gather, scatter_add
from devtensor.ops.shape import as_shape, expand, getitem
from devtensor.ops.sort import searchsorted, sort
from devtensor.random import Generator, generator_for

__all__ = [
    "bincount",
    "cummax",
    "cummin",
    "diff",
    "histc",
    "mode",
    "multinomial",
    "poisson",
    "trapezoid",
    "trapz",
]


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each number from 0 on occurs, or the sum of its weights.

    Shapes: input (N,), weights (N,) -> (max(input) + 1,), at least minlength
    Errors: ArgumentError for negative numbers.
    """
    if input.array.ndim != 1 or input.dtype.category == FLOAT:
        raise ArgumentError(
            f"[bincount] bincount only supports 1-d non-negative integral inputs; got {describe(input)}"
        )
    size = 0
    if input.array.shape[0]:
        if int(reduce.amin(input)) < 0:
            raise ArgumentError("[bincount] bincount only supports 1-d non-negative integral inputs")
        size = int(reduce.amax(input)) + 1
    counted: Any = full(tuple(input.array.shape), 1, int64, input.device) if weights is None else weights
    zeros = full((max(size, minlength),), 0, counted.dtype, input.device)
    return scatter_add(zeros, input, counted, 0)


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` equal intervals of [min, max]; of the input's own range if both
    are equal.

    Shapes: input (*S) -> (bins,)
    """
    if not input.dtype.is_floating_point:
        raise DTypeError(
            f"[histc] got {describe(input)}; it needs floating point; convert with .float() first"
        )
    flat = as_shape(input, (input.shape.numel(),))
    low, high = float(min), float(max)
    if low == high and flat.array.shape[0]:
        low, high = float(reduce.amin(flat)), float(reduce.amax(flat))
    if low == high:
        low, high = low - 1, high + 1
    if not low < high:
        raise ArgumentError(f"[histc] max must be larger than min; got min={min}, max={max}")
    inside: Any = (flat >= low) & (flat <= high)
    place = cast(floor((where(inside, flat, low) - low) * (bins / (high - low))), int64)
    place = where(place >= bins, bins - 1, place)
    return scatter_add(full((bins,), 0, input.dtype, input.device), place, cast(inside, input.dtype), 0)


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Places drawn with the chances that the weights in the last dim give.

    Shapes: input (K,) or (N, K) -> (num_samples,) or (N, num_samples)
    Errors: ArgumentError for weights that are negative, not finite or all 0; or too few to draw from.
    Source: without replacement, the order of weights divided by exponential draws (Efraimidis and Spirakis,
    2006).
    """
    if input.array.ndim not in (1, 2) or not input.dtype.is_floating_point:
        raise ArgumentError(
            f"[multinomial] prob_dist must be 1 or 2 dim, of floating point; got {describe(input)}"
        )
    count = input.array.shape[-1]
    if num_samples < 1 or (not replacement and num_samples > count):
        raise ArgumentError(
            f"[multinomial] cannot sample n_sample={num_samples} from {count} categories; cannot sample "
            "n_sample > prob_dist.size(-1) samples without replacement"
        )
    weights = input.detach()
    weights = cast(weights, float32) if weights.dtype.bits < 32 else weights
    _check_weights(weights, 1 if replacement else num_samples)
    source = generator_for(input.device, generator)
    if replacement:
        return _with_replacement(weights, num_samples, source)
    draws = source.uniform(tuple(weights.array.shape), weights.dtype)
    keys = weights / -log1p(-draws)
    keys = where(eq(weights, 0), -1.0, keys)
    return getitem(sort(keys, -1, True)[1], (*(slice(None),) * (input.array.ndim - 1), slice(0, num_samples)))


def _with_replacement(weights: Tensor, num_samples: int, source: Generator) -> Tensor:
    """Each draw falls into an interval of the running sums; intervals of no width are never met."""
    sums = reduce.cumsum(weights, -1)
    total = getitem(sums, (*(slice(None),) * (weights.array.ndim - 1), slice(-1, None)))
    draws = source.uniform((*weights.array.shape[:-1], num_samples), weights.dtype)
    found = searchsorted(sums, draws * total, True)
    last = reduce.sum(cast(sums < total, int64), -1, True)
    return where(found > last, last, found)


def _check_weights(weights: Tensor, needed: int) -> None:
    """Look at the weights where that costs nothing: on the CPU, outside of capture."""
    if weights.device.type != "cpu" or any(hasattr(layer, "host_read") for layer in current().layers):
        return
    if not bool(reduce.all((weights >= 0) & isfinite(weights))):
        raise ArgumentError("[multinomial] probability tensor contains either `inf`, `nan` or element < 0")
    if not bool(reduce.all(reduce.sum(cast(weights > 0, int64), -1) >= needed)):
        raise ArgumentError(
            "[multinomial] invalid multinomial distribution: fewer categories of positive weight than "
            "samples, or sum of probabilities <= 0"
        )


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of the Poisson distribution with the rates that `input` gives.

    Shapes: input (*S) -> (*S)
    Source: exact by counting exponential waits; rates above 500 by the rounded normal of the same mean and
    variance.
    """
    source, rates = generator_for(input.device, generator), input.detach()
    top = float(reduce.amax(rates)) if rates.shape.numel() else 0.0
    shape = tuple(rates.array.shape)
    if top > 500:
        made = floor(source.normal(shape, rates.dtype) * rates**0.5 + rates + 0.5)
        return where(made < 0, 0.0, made)
    steps = int(top + 12 * (top + 1) ** 0.5 + 12)
    waits = -log1p(-source.uniform((*shape, steps), rates.dtype))
    arrived = reduce.cumsum(waits, -1) <= as_shape(rates, (*shape, 1))
    return cast(reduce.sum(cast(arrived, int64), -1), input.dtype)


def _running(name: str, better: Callable[[Tensor, Tensor], Tensor], result: Any) -> Callable:
    def running(input: Tensor, dim: int) -> Any:
        if not input.array.ndim:
            return result(input + 0, full((), 0, int64, input.device))
        at = normalize_dim(name, dim, input.array.ndim)
        size = input.array.shape[at]
        line = as_shape(arange(0, 1, size, int64, input.device), (size, *(1,) * (input.array.ndim - at - 1)))
        places = expand(line, tuple(input.array.shape))
        values, step = input.detach(), 1
        while step < size:
            old = [narrow(t, at, 0, size - step) for t in (values, places)]
            new = [narrow(t, at, step, size - step) for t in (values, places)]
            kept = better(new[0], old[0])
            values, places = (
                cat([narrow(t, at, 0, step), where(kept, n, o)], at)
                for t, n, o in zip((values, places), new, old, strict=True)
            )
            step *= 2
        return result(gather(input, places, at), places)

    running.__name__ = running.__qualname__ = name
    running.__doc__ = (
        f"{'Largest' if name == 'cummax' else 'Smallest'} value so far along `dim`, and its last place."
    )
    return running


cummax = _running("cummax", lambda new, old: (new >= old) | (new != new), results.cummax)
cummin = _running("cummin", lambda new, old: (new <= old) | (new != new), results.cummin)


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The value that occurs most often along `dim`, the smallest of such, and its last place."""
    if not input.array.ndim:
        return results.mode(input + 0, full((), 0, int64, input.device))
    at = normalize_dim("mode", dim, input.array.ndim)
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
    made = cat([t for t in (prepend, input, append) if t is not None], at)
    for _ in range(min(n, made.array.shape[at])):
        size = made.array.shape[at]
        late, early = narrow(made, at, 1, size - 1), narrow(made, at, 0, size - 1)
        made = logical_xor(late, early) if made.dtype.bits == 1 else late - early
    return made


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integral of `y` along `dim` by trapezoids, over places `x` or with spacing `dx`."""
    at = normalize_dim("trapezoid", dim, y.array.ndim)
    size = y.array.shape[at]
    middles = (narrow(y, at, 1, size - 1) + narrow(y, at, 0, size - 1)) * 0.5
    if x is None:
        return reduce.sum(middles, at) * dx
    gaps = diff(x, 1, at if x.array.ndim == y.array.ndim else -1)
    if gaps.array.ndim == 1:
        gaps = as_shape(gaps, (size - 1, *(1,) * (y.array.ndim - at - 1)))
    return reduce.sum(middles * gaps, at)


trapz = trapezoid
METHODS: dict[str, Callable] = {
    f.__name__: f for f in (bincount, cummax, cummin, diff, histc, mode, multinomial)
}
