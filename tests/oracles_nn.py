"""References for what neural networks are made of, written out element by element where that is clearest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import special

Array = Any
Sizes = tuple[int, ...]


def wide(x: Array) -> Array:
    """Bools counted as integers."""
    return x.astype(np.int64) if x.dtype == bool else x


def linear(x: Array, weight: Array, bias: Array | None) -> Array:
    product = np.einsum("...i,oi->...o", wide(x), wide(weight))
    product = product.astype(bool) if x.dtype == bool else product
    return product if bias is None else product + bias


def positions(
    counts: Sizes, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Iterator[tuple[Sizes, Sizes, Sizes]]:
    """Every pair of a window and a place in it, with the spot in the unpadded input."""
    for out in np.ndindex(*counts):
        for k in np.ndindex(*size):
            rows = zip(out, stride, k, dilation, padding, strict=True)
            yield out, k, tuple(o * s + i * d - p for o, s, i, d, p in rows)


def inside(spot: tuple, sizes: tuple) -> bool:
    return all(0 <= i < n for i, n in zip(spot, sizes, strict=True))


def convolve(x: Array, weight: Array, g: Array | None, geometry: tuple) -> tuple[Array, Array, Array]:
    """Output, or with `g` the gradients for input and weight, by adding up single products."""
    stride, padding, dilation, groups = geometry
    spatial, size = x.shape[2:], weight.shape[2:]
    rows = zip(spatial, size, stride, padding, dilation, strict=True)
    counts = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in rows)
    outputs, channels = weight.shape[:2]
    out, for_x, for_w = (
        np.zeros((x.shape[0], outputs, *counts), x.dtype),
        np.zeros_like(x),
        np.zeros_like(weight),
    )
    for o in range(outputs):
        group = slice(o // (outputs // groups) * channels, (o // (outputs // groups) + 1) * channels)
        for place, k, spot in positions(counts, size, stride, padding, dilation):
            if not inside(spot, spatial):
                continue
            seen, w = x[:, group, *spot], weight[o, :, *k]
            out[:, o, *place] += wide(seen) @ wide(w) > 0 if x.dtype == bool else seen @ w
            if g is not None:
                for_x[:, group, *spot] += g[:, o, *place][:, None] * w
                for_w[o, :, *k] += (
                    g[:, o, *place] @ seen if x.dtype != bool else (g[:, o, *place] & seen.T).any(-1)
                )
    return out, for_x, for_w


def convolution(
    x: Array, weight: Array, stride: tuple, padding: tuple, dilation: tuple, groups: int = 1
) -> Array:
    return convolve(x, weight, None, (stride, padding, dilation, groups))[0]


def convolution_grad_input(
    g: Array,
    weight: Array,
    input_shape: tuple,
    stride: tuple,
    padding: tuple,
    dilation: tuple,
    groups: int = 1,
) -> Array:
    return convolve(np.zeros(input_shape, g.dtype), weight, g, (stride, padding, dilation, groups))[1]


def convolution_grad_weight(
    g: Array, x: Array, weight_shape: tuple, stride: tuple, padding: tuple, dilation: tuple, groups: int = 1
) -> Array:
    return convolve(x, np.zeros(weight_shape, g.dtype), g, (stride, padding, dilation, groups))[2]


def gelu(x: Array, approximate: str = "none") -> Array:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x * special.ndtr(x)


def elu(x: Array, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Array:
    return scale * np.where(x > 0, x, alpha * np.expm1(input_scale * x))


def softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    return np.where(x * beta > threshold, x, np.logaddexp(0, x * beta) / beta)


def glu(x: Array, dim: int = -1) -> Array:
    first, second = np.split(x, 2, axis=dim)
    return first * special.expit(second)


def prelu(x: Array, weight: Array) -> Array:
    shape = (weight.size, *(1,) * (x.ndim - 2)) if x.ndim > 1 and weight.size > 1 else ()
    return np.where(x > 0, x, x * weight.reshape(shape or (1,) * min(x.ndim, 1)))


def pool_counts(
    spatial: Sizes, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Sizes:
    """How many windows start in the input or its front padding, and fit unless `ceil_mode`."""
    found = []
    for n, k, s, p, d in zip(spatial, size, stride, padding, dilation, strict=True):
        starts = range(-p, n, s)
        fitting = [b for b in starts if b + d * (k - 1) < n + p]
        # Under ceil_mode a window may hang over, but no more of them than the rounded-up quotient.
        most = math.ceil((n + 2 * p - d * (k - 1) - 1) / s) + 1
        found.append(min(most, len(starts)) if ceil_mode else len(fitting))
    return tuple(found)


def seen_by(
    spatial: Sizes, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Iterator[tuple[Sizes, list[Sizes]]]:
    """Each window with all spots it covers, those in the padding too."""
    counts = pool_counts(spatial, size, stride, padding, dilation, ceil_mode)
    for out in np.ndindex(*counts):
        known = positions(tuple(c + 1 for c in out), size, stride, padding, dilation)
        yield out, [spot for window, _, spot in known if window == out]


def max_pool(
    x: Array, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool = False
) -> tuple[Array, Array]:
    spatial = x.shape[2:]
    shape = (*x.shape[:2], *pool_counts(spatial, size, stride, padding, dilation, ceil_mode))
    values, places = np.zeros(shape, x.dtype), np.zeros(shape, np.int64)
    for out, spots in seen_by(spatial, size, stride, padding, dilation, ceil_mode):
        real = [spot for spot in spots if inside(spot, spatial)]
        flat = [int(np.ravel_multi_index(spot, spatial)) for spot in real]
        for plane in np.ndindex(*x.shape[:2]):
            numbers = [x[(*plane, *spot)] for spot in real]
            best = max(range(len(numbers)), key=numbers.__getitem__)
            values[(*plane, *out)], places[(*plane, *out)] = numbers[best], flat[best]
    return values, places


def max_pool_grad(g: Array, index: Array, input_shape: Sizes) -> Array:
    result = np.zeros((*input_shape[:2], math.prod(input_shape[2:])), g.dtype)
    for spot in np.ndindex(*g.shape):
        result[(*spot[:2], index[spot])] += g[spot]
    return result.reshape(input_shape)


def avg_pool(
    x: Array,
    size: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    spatial, near = x.shape[2:], (1,) * len(size)
    result = np.zeros((*x.shape[:2], *pool_counts(spatial, size, stride, padding, near, ceil_mode)))
    for out, spots in seen_by(spatial, size, stride, padding, near, ceil_mode):
        real = [spot for spot in spots if inside(spot, spatial)]
        bordered = [s for s in spots if all(i < n + p for i, n, p in zip(s, spatial, padding, strict=True))]
        count = divisor_override or len(bordered if count_include_pad else real)
        result[(..., *out)] = sum(x[(..., *spot)] for spot in real) / count
    return result


def adaptive_avg_pool(x: Array, output_size: Sizes) -> Array:
    result = np.empty((*x.shape[:2], *output_size))
    for out in np.ndindex(*output_size):
        rows = zip(out, x.shape[2:], output_size, strict=True)
        spans = [slice(i * n // m, math.ceil((i + 1) * n / m)) for i, n, m in rows]
        result[(..., *out)] = x[(slice(None), slice(None), *spans)].mean(axis=tuple(range(2, x.ndim)))
    return result


def channels(values: Array, ndim: int) -> Array:
    return values.reshape(1, -1, *(1,) * (ndim - 2))


def moments(x: Array, dim: Any = None) -> tuple[Array, Array]:
    dims = tuple(range(x.ndim)) if dim is None else dim
    return x.mean(axis=dims), x.var(axis=dims)


def affine(x: Array, weight: Array | None, bias: Array | None) -> Array:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def batch_norm(x: Array, mean: Array, var: Array, weight: Any, bias: Any, eps: float = 1e-5) -> Array:
    mean, var, weight, bias = (v if v is None else channels(v, x.ndim) for v in (mean, var, weight, bias))
    return affine((x - mean) / np.sqrt(var + eps), weight, bias)


def layer_norm(x: Array, weight: Any, bias: Any, count: int = 1, eps: float = 1e-5) -> Array:
    dims = tuple(range(-count, 0))
    mean, var = x.mean(axis=dims, keepdims=True), x.var(axis=dims, keepdims=True)
    return affine((x - mean) / np.sqrt(var + eps), weight, bias)


def rms_norm(x: Array, weight: Any, count: int = 1, eps: float = 1e-5) -> Array:
    root = np.sqrt((x**2).mean(axis=tuple(range(-count, 0)), keepdims=True) + eps)
    return affine(x / root, weight, None)


def group_norm(x: Array, weight: Any, bias: Any, num_groups: int = 1, eps: float = 1e-5) -> Array:
    groups = [layer_norm(part, None, None, x.ndim - 1, eps) for part in np.split(x, num_groups, axis=1)]
    weight, bias = (v if v is None else channels(v, x.ndim) for v in (weight, bias))
    return affine(np.concatenate(groups, axis=1), weight, bias)


def reduced(values: Array, reduction: str) -> Array:
    if reduction == "batchmean":
        return values.sum() / values.shape[0]
    return {"none": np.asarray, "mean": np.mean, "sum": np.sum}[reduction](values)


def distance_loss(function: Callable) -> Callable:
    """A loss that compares element by element, from its function of the difference."""

    def reference(x: Array, target: Array, reduction: str = "mean", **named: Any) -> Array:
        return reduced(function(x - target, **named), reduction)

    return reference


def smooth_l1(d: Array, beta: float = 1.0) -> Array:
    return abs(d) if beta == 0 else np.where(abs(d) < beta, d * d / (2 * beta), abs(d) - beta / 2)


def huber(d: Array, delta: float = 1.0) -> Array:
    return special.huber(delta, d)


def binary_entropy(p: Array, target: Array) -> Array:
    return -(target * np.maximum(np.log(p), -100) + (1 - target) * np.maximum(np.log1p(-p), -100))


def binary_cross_entropy(p: Array, target: Array, weight: Any, reduction: str = "mean") -> Array:
    return reduced(binary_entropy(p, target) * (1 if weight is None else weight), reduction)


def with_logits(x: Array, target: Array, weight: Any, pos_weight: Any, reduction: str = "mean") -> Array:
    positive = target * special.log_expit(x) * (1 if pos_weight is None else pos_weight)
    negative = (1 - target) * special.log_expit(-x)
    return reduced(-(positive + negative) * (1 if weight is None else weight), reduction)


def kl_div(x: Array, target: Array, reduction: str = "mean", log_target: bool = False) -> Array:
    terms = np.exp(target) * (target - x) if log_target else special.xlogy(target, target) - target * x
    return reduced(terms, reduction)


def nll_loss(
    logs: Array,
    target: Array,
    weight: Any,
    reduction: str = "mean",
    ignore_index: int = -100,
    smoothing: float = 0.0,
) -> Array:
    """Target by target; with smoothing each class gets its share of the blame."""
    count = logs.shape[1]
    weight = np.ones(count) if weight is None else weight
    losses, weights = np.zeros(target.shape), np.zeros(target.shape)
    for spot in np.ndindex(*target.shape):
        if target[spot] != ignore_index:
            line = logs[(spot[0], slice(None), *spot[1:])]
            weights[spot] = weight[target[spot]]
            share = np.full(count, smoothing / count)
            share[target[spot]] += 1 - smoothing
            losses[spot] = -(line * share * weight).sum()
    return losses.sum() / weights.sum() if reduction == "mean" else reduced(losses, reduction)


def cross_entropy(x: Array, target: Array, weight: Any, label_smoothing: float = 0.0, **named: Any) -> Array:
    return nll_loss(special.log_softmax(x, axis=1), target, weight, smoothing=label_smoothing, **named)


def soft_cross_entropy(
    x: Array, target: Array, weight: Any, reduction: str = "mean", label_smoothing: float = 0.0
) -> Array:
    target = target * (1 - label_smoothing) + label_smoothing / x.shape[1]
    weight = 1 if weight is None else channels(weight, x.ndim)
    return reduced(-(special.log_softmax(x, axis=1) * target * weight).sum(axis=1), reduction)


def attention(
    q: Array, k: Array, v: Array, mask: Any, is_causal: bool = False, scale: float | None = None
) -> Array:
    """Row by row."""
    lead = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    q, k, v = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (q, k, v))
    scale = 1 / math.sqrt(q.shape[-1] or 1) if scale is None else scale
    result = np.zeros((*lead, q.shape[-2], v.shape[-1]))
    places = np.ones((q.shape[-2], k.shape[-2]), bool) if mask is None else mask
    places = np.broadcast_to(places, (*lead, q.shape[-2], k.shape[-2]))
    for spot in np.ndindex(*lead, q.shape[-2]):
        seen = [
            s
            for s in range(k.shape[-2])
            if (s <= spot[-1] if is_causal else places.dtype != bool or places[(*spot, s)])
        ]
        powers = np.array([(q[spot] @ k[(*spot[:-1], s)]) * scale for s in seen])
        if places.dtype != bool:
            powers = powers + places[spot]
        if seen:
            result[spot] = special.softmax(powers) @ v[spot[:-1]][seen]
    return result


def adaptive_max_pool(x: Array, output_size: Sizes) -> tuple[Array, Array]:
    values, places = np.empty((*x.shape[:2], *output_size)), np.empty((*x.shape[:2], *output_size), np.int64)
    flat = np.arange(math.prod(x.shape[2:])).reshape(x.shape[2:])
    for out in np.ndindex(*output_size):
        rows = zip(out, x.shape[2:], output_size, strict=True)
        spans = tuple(slice(i * n // m, math.ceil((i + 1) * n / m)) for i, n, m in rows)
        for plane in np.ndindex(*x.shape[:2]):
            seen = x[(*plane, *spans)]
            values[(*plane, *out)] = seen.max()
            places[(*plane, *out)] = flat[spans].reshape(-1)[seen.argmax()]
    return values, places


def hat(x: Array, kind: str, antialias: bool) -> Array:
    """The weight of an element by its distance."""
    x = abs(x)
    if kind == "linear":
        return np.maximum(0, 1 - x)
    a = -0.5 if antialias else -0.75
    inner = (a + 2) * x**3 - (a + 3) * x**2 + 1
    return np.where(x <= 1, inner, np.where(x < 2, a * (x**3 - 5 * x**2 + 8 * x - 4), 0))


def resampling(sampling: tuple) -> Array:
    """The map as a matrix, (target, source)."""
    kind, source, target, align, scale, antialias = sampling
    step = (source - 1) / (target - 1) if align else 1 / scale if scale else source / target
    steps = np.arange(target)
    if kind.startswith("nearest"):
        places = np.floor((steps + (0.5 if kind == "nearest-exact" else 0)) * step).astype(int)
        return np.eye(source)[np.minimum(places, source - 1)]
    middles = steps * step if align else (steps + 0.5) * step - 0.5
    if antialias:
        weights = hat((np.arange(source) - middles[:, None]) / max(step, 1), kind, True)
        return weights / weights.sum(1, keepdims=True)
    if kind == "linear":
        middles = np.clip(middles, 0, source - 1)
    beyond = np.arange(-3, source + 3)
    weights = hat(beyond - middles[:, None], kind, False)
    return weights @ np.eye(source)[np.clip(beyond, 0, source - 1)]


def resample(x: Array, dim: int, sampling: tuple, adjoint: bool = False, fixed: bool = False) -> Array:
    matrix = resampling(sampling)
    matrix = np.round(matrix * 2**14) / 2**14 if fixed else matrix
    return np.moveaxis(np.tensordot(matrix.T if adjoint else matrix, x, (1, dim)), 0, dim)


def ctc_loss(
    logs: Array, targets: Array, ends: Array, counts: Array, blank: int = 0, zero_infinity: bool = False
) -> Array:
    """Every path written out and collapsed: repetitions first, then blanks."""
    samples, classes = logs.shape[1:]
    losses = np.zeros(samples)
    for n in range(samples):
        total = 0.0
        for path in np.ndindex(*(classes,) * int(ends[n])):
            kept = [c for t, c in enumerate(path) if (t == 0 or path[t - 1] != c) and c != blank]
            if kept == targets[n, : counts[n]].tolist():
                total += math.exp(sum(logs[t, n, c] for t, c in enumerate(path)))
        losses[n] = -math.log(total) if total else math.inf
    return np.where(np.isinf(losses), 0.0, losses) if zero_infinity else losses


def softmax_gradient(g, output, dim=-1, scale=1.0):
    return scale * output * (g - np.sum(g * output, axis=dim if g.ndim else None, keepdims=True))


def log_softmax_gradient(g, output, dim=-1):
    return g - np.exp(output) * np.sum(g, axis=dim if g.ndim else None, keepdims=True)


def masked_softmax(scores, mask, is_causal=False, scale=1.0):
    """Row by row, over the keys that are seen."""
    result, added = np.zeros_like(scores), np.zeros(scores.shape)
    if mask is not None:
        added = added + (np.where(mask, 0.0, -np.inf) if mask.dtype == bool else mask)
    for spot in np.ndindex(scores.shape[:-1]):
        seen = np.arange(scores.shape[-1]) <= spot[-1] if is_causal else np.ones(scores.shape[-1], bool)
        seen &= added[spot] > -np.inf
        if seen.any():
            result[(*spot, seen)] = special.softmax(scores[spot][seen] * scale + added[spot][seen])
    return result


def gelu_gradient(g, x, approximate="none"):
    if approximate == "none":
        return g * (special.ndtr(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi))
    bent = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    rise = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return g * ((1 + bent) / 2 + x / 2 * (1 - bent**2) * rise)


def elu_gradient(g, x, alpha=1.0, scale=1.0, input_scale=1.0):
    below = alpha * input_scale * np.exp(np.minimum(x, 0) * input_scale)
    return g * scale * np.where(x <= 0, below, 1)


def softplus_gradient(g, x, beta=1.0, threshold=20.0):
    return np.where(x * beta > threshold, g, g * special.expit(x * beta))


def hardtanh_gradient(g, x, min_val=-1.0, max_val=1.0):
    return np.where((x <= min_val) | (x >= max_val), 0, g)


def mish_gradient(g, x):
    inner = np.tanh(np.logaddexp(0, x))
    return g * (inner + x * special.expit(x) * (1 - inner**2))


def batch_norm_gradient(g, x, mean, scale):
    dims = (0, *range(2, x.ndim))
    return g * channels(scale, x.ndim), g.sum(dims), (g * (x - channels(mean, x.ndim))).sum(dims)


def batch_norm_gradients(g, x, mean, var, weight, eps=1e-5):
    inverse = 1 / np.sqrt(var + eps)
    scale = inverse if weight is None else inverse * weight
    slope, total, along = batch_norm_gradient(g, x, mean, scale)
    return slope, -scale * total, -scale * inverse**2 * along / 2, inverse * along, total


def moments_gradient(x, mean, mean_slope, var_slope, dim=None):
    """One element after the other, each of which moves its own mean and variance."""
    dims = tuple(range(x.ndim)) if dim is None else (dim,) if isinstance(dim, int) else dim
    dims, result = [d % x.ndim for d in dims], np.zeros_like(x)
    count = math.prod(x.shape[d] for d in dims)
    for spot in np.ndindex(x.shape):
        own = tuple(k for d, k in enumerate(spot) if d not in dims)
        result[spot] = mean_slope[own] / count + var_slope[own] * 2 * (x[spot] - mean[own]) / count
    return result


def layer_norm_gradient(g, x, weight, count=1, eps=1e-5):
    dims = tuple(range(x.ndim - count, x.ndim))
    apart = x - x.mean(dims, keepdims=True)
    deviation = np.sqrt((apart**2).mean(dims, keepdims=True) + eps)
    standard = apart / deviation
    weighted = g if weight is None else g * weight
    shared = weighted.mean(dims, keepdims=True) + standard * (weighted * standard).mean(dims, keepdims=True)
    return (weighted - shared) / deviation, (g * standard).sum(tuple(range(x.ndim - count)))


def rms_norm_gradient(g, x, weight, count=1, eps=1e-5):
    dims = tuple(range(x.ndim - count, x.ndim))
    root = np.sqrt((x**2).mean(dims, keepdims=True) + eps)
    weighted, standard = g if weight is None else g * weight, x / root
    shared = standard * (weighted * standard).mean(dims, keepdims=True)
    return (weighted - shared) / root, (g * standard).sum(tuple(range(x.ndim - count)))


def group_norm_gradient(g, x, weight, num_groups=1, eps=1e-5):
    """Group by group, each as the rows of a layer norm that has a weight for each of a row's elements."""
    slopes, along = [], []
    every = None if weight is None else np.broadcast_to(channels(weight, x.ndim), (1, *x.shape[1:]))
    given_by_group, seen_by_group = (np.split(part, num_groups, 1) for part in (g, x))
    for k, (given, seen) in enumerate(zip(given_by_group, seen_by_group, strict=True)):
        own = None if every is None else np.split(every, num_groups, 1)[k][0]
        slope, products = layer_norm_gradient(given, seen, own, x.ndim - 1, eps)
        slopes.append(slope)
        along.append(products.reshape(products.shape[0], -1).sum(1))
    return np.concatenate(slopes, 1), np.concatenate(along), g.sum((0, *range(2, x.ndim)))


def safe_softmax(x, dim=-1):
    if not x.size:
        return x
    rows = np.moveaxis(np.atleast_1d(x), dim, -1)
    made = [np.zeros_like(row) if np.isneginf(row).all() else special.softmax(row) for row in _rows(rows)]
    return np.moveaxis(np.reshape(made, rows.shape), -1, dim).reshape(x.shape)


def _rows(x):
    return x.reshape(-1, x.shape[-1])


NN_ORACLES: dict[str, Callable[..., Any]] = {
    "linear": linear,
    "convolution": convolution,
    "convolution_grad_input": convolution_grad_input,
    "convolution_grad_weight": convolution_grad_weight,
    "softmax": lambda x, dim=-1: special.softmax(x, axis=dim) if x.size else x,
    "log_softmax": lambda x, dim=-1: special.log_softmax(x, axis=dim) if x.size else x,
    "softmax_gradient": softmax_gradient,
    "gelu_gradient": gelu_gradient,
    "sigmoid_gradient": lambda g, y: g * y * (1 - y),
    "tanh_gradient": lambda g, y: g * (1 - y**2),
    "relu_gradient": lambda g, y: np.where(y <= 0, 0, g),
    "silu_gradient": lambda g, x: g * (1 + x / (1 + np.exp(x))) / (1 + np.exp(-x)),
    "elu_gradient": elu_gradient,
    "softplus_gradient": softplus_gradient,
    "mish_gradient": mish_gradient,
    "leaky_relu_gradient": lambda g, x, negative_slope=0.01: np.where(x > 0, g, g * negative_slope),
    "hardtanh_gradient": hardtanh_gradient,
    "hardswish_gradient": lambda g, x: np.where(x <= -3, 0, g * np.where(x < 3, x / 3 + 0.5, 1)),
    "batch_norm_gradient": batch_norm_gradient,
    "batch_norm_gradients": batch_norm_gradients,
    "moments_gradient": moments_gradient,
    "running_average": lambda x, y, momentum=0.1, factor=1.0: (1 - momentum) * x + momentum * factor * y,
    "layer_norm_gradient": layer_norm_gradient,
    "rms_norm_gradient": rms_norm_gradient,
    "group_norm_gradient": group_norm_gradient,
    "log_softmax_gradient": log_softmax_gradient,
    "safe_softmax": safe_softmax,
    "masked_softmax": masked_softmax,
    "gelu": gelu,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "leaky_relu": lambda x, negative_slope=0.01: np.where(x > 0, x, x * negative_slope),
    "elu": elu,
    "softplus": softplus,
    "logsigmoid": special.log_expit,
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "hardtanh": lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
    "hardsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "threshold": lambda x, threshold=0.0, value=0.0: np.where(x <= threshold, value, x),
    "hardshrink": lambda x, lambd=0.5: np.where(abs(x) <= lambd, 0, x),
    "softshrink": lambda x, lambd=0.5: np.sign(x) * np.maximum(abs(x) - lambd, 0),
    "softsign": lambda x: x / (1 + abs(x)),
    "tanhshrink": lambda x: x - np.tanh(x),
    "glu": glu,
    "prelu": prelu,
    "max_pool": max_pool,
    "max_pool_grad": max_pool_grad,
    "avg_pool": avg_pool,
    "adaptive_avg_pool": adaptive_avg_pool,
    "adaptive_max_pool": adaptive_max_pool,
    "moments": moments,
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
    "mse_loss": distance_loss(np.square),
    "l1_loss": distance_loss(np.abs),
    "smooth_l1_loss": distance_loss(smooth_l1),
    "huber_loss": distance_loss(huber),
    "binary_entropy": binary_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "binary_cross_entropy_with_logits": with_logits,
    "kl_div": kl_div,
    "nll_loss": nll_loss,
    "cross_entropy": cross_entropy,
    "soft_cross_entropy": soft_cross_entropy,
    "attention": attention,
    "ctc_loss": ctc_loss,
    "resample": resample,
}
