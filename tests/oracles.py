"""Independent references: for each op a function of NumPy arrays (float64, int64 or bool) and its parameters.

They are written from each op's docstring with NumPy, SciPy and loops, and share nothing with the kernels.
Numbers stand where the example has numbers. A reference for several outputs returns a tuple.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
from scipy import special

from oracles_linalg import LINALG_ORACLES
from oracles_nn import NN_ORACLES
from oracles_recurrent import RECURRENT_ORACLES

Array = Any


def dims_of(x: Array, dim: Any) -> tuple[int, ...]:
    """A dims parameter as a tuple NumPy takes."""
    if dim is None or dim == ():
        return tuple(range(x.ndim))
    return (dim,) if isinstance(dim, int) else tuple(dim)


def wide(x: Array) -> Array:
    """Bools counted as integers."""
    return x.astype(np.int64) if x.dtype == bool else x


def reduction(function: Callable, convert: Callable = lambda x: x) -> Callable:
    """A reference over dims from a NumPy reduction."""

    def reference(x: Array, dim: Any = None, keepdim: bool = False, **named: Any) -> Array:
        return function(convert(x), axis=dims_of(x, dim) if x.ndim else None, keepdims=keepdim, **named)

    return reference


def along(function: Callable) -> Callable:
    """A reference along one dim, for which a 0-d array counts as one of one element."""

    def reference(x: Array, dim: int, **named: Any) -> Array:
        return function(wide(x).reshape(-1), 0).reshape(()) if x.ndim == 0 else function(wide(x), dim)

    return reference


def place(function: Callable) -> Callable:
    """A reference for argmax and argmin."""

    def reference(x: Array, dim: int, keepdim: bool = False) -> Array:
        return np.int64(0) if x.ndim == 0 else function(wide(x), axis=dim, keepdims=keepdim)

    return reference


def logaddexp(x: Array, y: Array) -> Array:
    """NumPy's; of complex numbers by the one with the larger real part."""
    if np.result_type(x, y).kind != "c":
        return np.logaddexp(x, y)
    top, low = np.where(np.real(x) >= np.real(y), x, y), np.where(np.real(x) >= np.real(y), y, x)
    return top + np.log(1 + np.exp(low - top))


def bessel(function: Callable, wave: Callable) -> Callable:
    """SciPy's, but far out, where it loses the phase, the wave that the function becomes."""

    def reference(x: Array) -> Array:
        far = np.maximum(np.abs(x), 1e8)
        value = np.where(np.abs(x) < 1e8, function(x), wave(far) / np.sqrt(np.pi * far))
        odd = function is special.j1
        second = function in (special.y0, special.y1)
        return np.where(x < -1e8, np.nan if second else (-value if odd else value), value)

    return reference


def shift_left(a: Array, b: Array) -> Array:
    return a * 2**b


def shift_right(a: Array, b: Array) -> Array:
    return np.floor_divide(a, 2**b)


def clamp(x: Array, low: Any, high: Any) -> Array:
    """NaN stays, and the upper limit wins."""
    x = x if low is None else np.where(np.isnan(x) | (x > low), x, low)
    return x if high is None else np.where(np.isnan(x) | (x < high), x, high)


def logsumexp(x: Array, dim: Any, keepdim: bool = False) -> Array:
    if not x.size:
        return np.log(np.exp(x).sum(axis=dims_of(x, dim), keepdims=keepdim))
    return special.logsumexp(x, axis=dims_of(x, dim), keepdims=keepdim)


def var(x: Array, dim: Any = None, keepdim: bool = False, correction: int = 1) -> Array:
    return np.var(x, axis=dims_of(x, dim), keepdims=keepdim, ddof=correction)


def vector_norm(x: Array, dim: Any = None, keepdim: bool = False, p: float = 2) -> Array:
    """Each line of numbers by SciPy's norm of a vector."""
    dims = dims_of(x, dim)
    if not dims:
        return abs(x)
    lines = np.moveaxis(x, dims, range(x.ndim - len(dims), x.ndim))
    lines = lines.reshape(*lines.shape[: x.ndim - len(dims)], -1)
    found = np.linalg.norm(lines, ord=p, axis=-1)
    return np.expand_dims(found, tuple(d % x.ndim for d in dims)) if keepdim else found


def cast(x: Array, dtype: str) -> Array:
    if dtype == "bool":
        return x != 0
    if np.iscomplexobj(x):
        return x if dtype.startswith("complex") else cast(x.real, dtype)
    if dtype in ("float16", "bfloat16", "float32", "float64"):
        return x.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    return np.trunc(x).astype(dtype)


def constant(data: Any, dtype: str, device: Any = None) -> Array:
    return np.frombuffer(data.data, dtype).reshape(data.shape)


def follow(x: Array, chain: tuple) -> Array:
    """The NumPy view that a chain of view ops reaches."""
    for name, params in chain:
        x = {
            "getitem": operator.getitem,
            "permute": np.transpose,
            "reshape": lambda x, shape: x.reshape(shape),
            "diagonal": np.diagonal,
        }[name](x, *params)
    return x


def as_strided(x: Array, size: tuple, stride: tuple, offset: int, layout: tuple) -> Array:
    """What is read from memory in which x lies in steps of `layout`."""
    memory = {sum(i * s for i, s in zip(at, layout, strict=True)): value for at, value in np.ndenumerate(x)}
    found = np.zeros(size, x.dtype)
    for at in np.ndindex(*size):
        found[at] = memory[offset + sum(i * s for i, s in zip(at, stride, strict=True))]
    return found


def overwrite(root: Array, src: Array, chain: tuple) -> Array:
    places = follow(np.arange(root.size).reshape(root.shape), chain)
    result = root.reshape(-1).copy()
    result[places.reshape(-1)] = src.reshape(-1)
    return result.reshape(root.shape)


def gather(x: Array, index: Array, dim: int) -> Array:
    result = np.empty(index.shape, x.dtype)
    for spot in np.ndindex(*index.shape):
        source = list(spot)
        source[dim] = index[spot]
        result[spot] = x[tuple(source)]
    return result


def scatter(x: Array, index: Array, src: Array, dim: int, add: bool = False) -> Array:
    result = x.copy()
    for spot in np.ndindex(*index.shape):
        target = list(spot)
        target[dim] = index[spot]
        result[tuple(target)] = result[tuple(target)] + src[spot] if add else src[spot]
    return result


def scatter_add(x: Array, index: Array, src: Array, dim: int) -> Array:
    return scatter(x, index, src, dim, add=True)


def scatter_reduce(
    x: Array, index: Array, src: Array, dim: int, reduce: str, include_self: bool = True
) -> Array:
    """Place by place: all that is brought there, in one list."""
    met: dict[tuple, list] = {}
    dim %= x.ndim
    for spot in np.ndindex(*index.shape):
        target = (*spot[:dim], int(index[spot]), *spot[dim + 1 :])
        met.setdefault(target, []).append(src[spot])
    result = x.copy()
    function = {"sum": np.sum, "prod": np.prod, "mean": np.mean, "amax": np.max, "amin": np.min}[reduce]
    for target, values in met.items():
        found = function([*values, x[target]] if include_self else values)
        result[target] = np.floor(found) if x.dtype.kind in "iu" else found
    return result


def full_index(indices: tuple, places: tuple) -> tuple:
    return tuple(slice(None) if p is None else indices[p] for p in places)


def index_put(x: Array, value: Array, *indices: Array, places: tuple, accumulate: bool = False) -> Array:
    """Element by element, by the place in memory that NumPy's own indexing names."""
    where = np.arange(x.size).reshape(x.shape)[full_index(indices, places)]
    result = x.reshape(-1).copy()
    for spot, number in zip(where.reshape(-1), np.broadcast_to(value, where.shape).reshape(-1), strict=True):
        result[spot] = result[spot] + number if accumulate else number
    return result.reshape(x.shape)


def embedding_grad(g: Array, index: Array, rows: int) -> Array:
    result = np.zeros((rows, *g.shape[index.ndim :]), g.dtype)
    for spot in np.ndindex(*index.shape):
        result[index[spot]] = result[index[spot]] + g[spot]
    return result


def nonzero(x: Array) -> Array:
    return np.argwhere(x) if x.ndim else np.zeros((int(bool(x)), 0), np.int64)


def sort(x: Array, dim: int = -1, descending: bool = False) -> tuple:
    """Python's own stable sort, line by line."""
    if x.ndim == 0:
        return x, np.int64(0)
    values, places = np.empty_like(x), np.empty(x.shape, np.int64)
    lines = [range(n) for d, n in enumerate(x.shape) if d != dim % x.ndim]
    for spot in itertools.product(*lines):
        line = (*spot[: dim % x.ndim], slice(None), *spot[dim % x.ndim :])
        order = sorted(range(x.shape[dim]), key=lambda i: x[line][i], reverse=descending)
        values[line], places[line] = x[line][order], order
    return values, places


def extreme_places(x: Array, dim: int, largest: bool) -> Array:
    """The last place of the extreme of each beginning, one by one."""
    places = np.zeros(x.shape, np.int64)
    for place in np.ndindex(x.shape if x.ndim else (0,)):
        line = x[tuple(slice(None) if d == dim else at for d, at in enumerate(place))][: place[dim] + 1]
        places[place] = np.flatnonzero(line == (line.max() if largest else line.min()))[-1]
    return places


def ranked(x: Array, dim: int, first: int, last: int, descending: bool = False) -> tuple:
    """A part of what `sort` gives."""
    found = sort(x, dim, descending)
    return found if x.ndim == 0 else tuple(np.take(each, range(first, last), dim) for each in found)


def unique(x: Array) -> tuple:
    values = sorted(set(x.reshape(-1).tolist()))
    inverse = np.array([values.index(v) for v in x.reshape(-1).tolist()], np.int64).reshape(x.shape)
    counts = [int((inverse == k).sum()) for k in range(len(values))]
    return np.array(values, x.dtype), inverse, np.array(counts, np.int64)


def searchsorted(line: Array, values: Array, right: bool = False) -> Array:
    """How many elements stand before, counted one by one."""
    before = operator.le if right else operator.lt
    result = np.empty(values.shape, np.int64)
    for spot in np.ndindex(*values.shape):
        row = line if line.ndim == 1 else line[spot[:-1]]
        result[spot] = sum(bool(before(element, values[spot])) for element in row)
    return result


def windows(length: int, size: int, step: int, dilation: int) -> list[list[int]]:
    """The places that each window takes."""
    count = (length - dilation * (size - 1) - 1) // step + 1
    return [[start * step + k * dilation for k in range(size)] for start in range(count)]


def unfold(x: Array, dim: int, size: int, step: int, dilation: int = 1) -> Array:
    rows = windows(x.shape[dim], size, step, dilation)
    return np.stack([np.moveaxis(np.take(x, row, axis=dim), dim, -1) for row in rows], axis=dim % x.ndim)


def fold(g: Array, size: int, dim: int, step: int, dilation: int) -> Array:
    shape = list(g.shape[:-1])
    shape[dim] = size
    result = np.moveaxis(np.zeros(shape, g.dtype), dim, 0)
    source = np.moveaxis(g, (dim, -1), (0, 1))
    for window, k in np.ndindex(*source.shape[:2]):
        result[window * step + k * dilation] = result[window * step + k * dilation] + source[window, k]
    return np.moveaxis(result, 0, dim)


def pad(x: Array, widths: tuple, value: Any = 0) -> Array:
    return np.pad(x, widths, constant_values=value)


def expand(x: Array, shape: tuple) -> Array:
    return np.broadcast_to(x, shape)


def matmul(a: Array, b: Array) -> Array:
    if a.dtype == bool:
        return (a.astype(np.int64) @ b.astype(np.int64)).astype(bool)
    return a @ b


MASK = 2**64 - 1


def philox_word(seed: int, number: int) -> int:
    """Word `number` of the stream: Philox 4x64-10 written from Salmon et al. 2011 in whole numbers."""
    counter, key = [number // 4, 0, 0, 0], [seed, 0]
    for step in range(10):
        if step:
            key = [(key[0] + 0x9E3779B97F4A7C15) & MASK, (key[1] + 0xBB67AE8584CAA73B) & MASK]
        first, second = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
        counter = [
            (second >> 64) ^ counter[1] ^ key[0], second & MASK,
            (first >> 64) ^ counter[3] ^ key[1], first & MASK,
        ]  # fmt: skip
    return counter[number % 4]


def words(state: Array, shape: tuple) -> Array:
    seed, offset = (int(v) & MASK for v in state)
    found = [philox_word(seed, offset + i) for i in range(math.prod(shape))]
    return np.array(found, dtype=object).reshape(shape)


def random_uniform(state: Array, shape: tuple, dtype: str) -> Array:
    bits = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}[dtype]
    return np.array(words(state, shape) >> (64 - bits), dtype=np.float64) * 2.0**-bits


def random_normal(state: Array, shape: tuple, dtype: str) -> Array:
    word = words(state, shape)
    near = np.array((word >> 32) + 1, np.float64) * 2.0**-32
    angle = np.array(word & 0xFFFFFFFF, np.float64) * 2.0**-32
    return np.sqrt(-2 * np.log(near)) * np.cos(2 * math.pi * angle)


def random_integers(state: Array, shape: tuple, low: int, high: int) -> Array:
    return np.array(low + (words(state, shape) * (high - low) >> 64), np.int64)


ORACLES: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "floor_divide": np.floor_divide,
    "div_floor": np.floor_divide,
    "div_trunc": lambda a, b: np.trunc(np.divide(a, b)),
    "remainder": np.mod,
    "fmod": np.fmod,
    "pow": np.power,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "maximum": lambda a, b: np.where((a > b) | (a != a), a, b),
    "minimum": lambda a, b: np.where((a < b) | (a != a), a, b),
    "neg": operator.neg,
    "abs": lambda x: np.hypot(x.real, x.imag) if x.dtype.kind == "c" else np.where(x < 0, -x, x),
    "lgamma": special.gammaln,
    "digamma": special.digamma,
    "zeta": special.zeta,
    "polygamma": lambda x, n: special.polygamma(n, x),
    "mvlgamma": lambda x, p: (
        p * (p - 1) / 4 * math.log(math.pi) + sum(special.gammaln(x - j / 2) for j in range(p))
    ),
    "igamma": special.gammainc,
    "igammac": special.gammaincc,
    "erfcx": special.erfcx,
    "ndtr": special.ndtr,
    "log_ndtr": special.log_ndtr,
    "ndtri": special.ndtri,
    "entr": special.entr,
    "xlogy": special.xlogy,
    "xlog1py": special.xlog1py,
    "i0": special.i0,
    "i1": special.i1,
    "i0e": special.i0e,
    "i1e": special.i1e,
    "bessel_j0": bessel(special.j0, lambda x: np.cos(x) + np.sin(x)),
    "bessel_j1": bessel(special.j1, lambda x: np.sin(x) - np.cos(x)),
    "bessel_y0": bessel(special.y0, lambda x: np.sin(x) - np.cos(x)),
    "bessel_y1": bessel(special.y1, lambda x: -np.sin(x) - np.cos(x)),
    "modified_bessel_k0": special.k0,
    "modified_bessel_k1": special.k1,
    "scaled_modified_bessel_k0": special.k0e,
    "scaled_modified_bessel_k1": special.k1e,
    "spherical_bessel_j0": lambda x: special.spherical_jn(0, x),
    "airy_ai": lambda x: np.where((x > 200) & np.isfinite(x), 0.0, special.airy(x)[0]),
    "copysign": np.copysign,
    "fmax": np.fmax,
    "fmin": np.fmin,
    "nextafter": np.nextafter,
    "gcd": np.gcd,
    "lcm": np.lcm,
    "ldexp": lambda x, y: x * 2.0**y,
    "frexp": np.frexp,
    "logaddexp": logaddexp,
    "logaddexp2": np.logaddexp2,
    "sinc": lambda x: np.where((x != 0) & (x == np.round(x)) & np.isfinite(x), 0, np.sinc(x)),
    "conj": lambda x: x.real - 1j * x.imag if x.dtype.kind == "c" else x,
    "sgn": lambda x: x / np.abs(x) if x.dtype.kind == "c" else np.where(x != x, 0, np.sign(wide(x))),
    "angle": lambda x: (
        np.arctan2(x.imag, x.real)
        if x.dtype.kind == "c"
        else np.where(x < 0, np.pi, np.where(x != x, x, 0.0))
    ),
    "real": lambda x: np.array(x.real),
    "imag": lambda x: np.array(x.imag),
    "view_as_real": lambda x: np.stack([x.real, x.imag], -1),
    "view_as_complex": lambda x: x[..., 0] + 1j * x[..., 1],
    "complex": lambda real, imag: real + 1j * imag,
    "polar": lambda size, angle: size * np.exp(1j * angle),
    "sign": lambda x: x if x.dtype == bool else (x > 0).astype(x.dtype) - (x < 0),
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.round,
    "square": lambda x: x * x,
    "relu": lambda x: np.where(x <= 0, 0 * (x == x), x),
    "where": np.where,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "logical_and": lambda a, b: (a != 0) & (b != 0),
    "logical_or": lambda a, b: (a != 0) | (b != 0),
    "logical_xor": lambda a, b: (a != 0) ^ (b != 0),
    "logical_not": lambda x: x == 0,
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "bitwise_xor": operator.xor,
    "bitwise_not": operator.invert,
    "bitwise_left_shift": shift_left,
    "bitwise_right_shift": shift_right,
    "isnan": lambda x: x != x,
    "isinf": lambda x: abs(wide(x)) == math.inf,
    "isfinite": lambda x: abs(wide(x)) < math.inf,
    "exp": np.exp,
    "exp2": lambda x: np.power(2.0, x),
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1.0 / x,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": special.erf,
    "erfc": special.erfc,
    "erfinv": special.erfinv,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)) if x.dtype.kind == "c" else special.expit(x),
    "lerp": lambda a, b, t: np.where(np.abs(t) < 0.5, a + (b - a) * t, b - (b - a) * (1 - t)),
    "add_scaled": lambda x, a, alpha: x + a * alpha,
    "sub_scaled": lambda x, a, alpha: x - a * alpha,
    "addcmul": lambda x, a, b, value: x + a * b * value,
    "addcdiv": lambda x, a, b, value: x + a / b * value,
    "clamp": clamp,
    "sum": reduction(np.sum, wide),
    "prod": reduction(np.prod, wide),
    "mean": reduction(np.mean),
    "amax": reduction(np.max),
    "amin": reduction(np.min),
    "any": reduction(np.any),
    "all": reduction(np.all),
    "argmax": place(np.argmax),
    "argmin": place(np.argmin),
    "cumsum": along(np.cumsum),
    "extreme_places": extreme_places,
    "cumprod": along(np.cumprod),
    "var": var,
    "std": lambda x, **named: np.sqrt(var(x, **named)),
    "vector_norm": vector_norm,
    "distances": lambda x, y: np.sqrt(((x[..., :, None, :] - y[..., None, :, :]) ** 2).sum(-1)),
    "logsumexp": logsumexp,
    "full": lambda shape, value, dtype, device=None: np.full(shape, value),
    "arange": lambda start, step, count, dtype, device=None: np.array(
        [start + i * step for i in range(count)]
    ),
    "constant": constant,
    "cast": cast,
    "copy": np.copy,
    "to_device": lambda x, device: x,
    "overwrite": overwrite,
    "reshape": lambda x, shape: x.reshape(shape),
    "permute": lambda x, dims: np.transpose(x, dims),
    "expand": expand,
    "getitem": lambda x, index: x[index],
    "diagonal": lambda x, offset=0, dim1=0, dim2=1: np.diagonal(x, offset, dim1, dim2),
    "unfold": unfold,
    "as_strided": as_strided,
    "bits_as": lambda x, size, stride, dtype: x.astype(np.float32).view(dtype).reshape(size),
    "lay_out": lambda x, strides: x,
    "fold": fold,
    "flip": lambda x, dims: np.flip(x, dims),
    "roll": lambda x, shifts, dims: np.roll(x, shifts, dims),
    "pad": pad,
    "cat": lambda *xs, dim=0: np.concatenate(xs, dim),
    "index_select": lambda x, index, dim: np.take(x, index, axis=dim),
    "gather": gather,
    "scatter": scatter,
    "scatter_add": scatter_add,
    "scatter_reduce": scatter_reduce,
    "scatter_combined": lambda x, index, src, dim, reduce: scatter_reduce(
        x, index, src, dim, {"add": "sum", "multiply": "prod"}[reduce]
    ),
    "slices_kept": lambda x, places, dim: np.take(x, places, axis=dim),
    "without_gradient": lambda x: x,
    "one_of_all": lambda x, choice: np.sort(x.reshape(-1))[
        {"max": -1, "min": 0}.get(choice, (x.size - 1) // 2)
    ],
    "compared": lambda a, b, comparison: getattr(operator, comparison)(a, b) * 1.0,
    "heaviside": lambda x, values: np.where(x == 0, values, x > 0),
    "inverse_hyperbolic": lambda x, function: getattr(np, f"arc{function[1:]}")(x),
    "logit": lambda x, eps=None: special.logit(x if eps is None else np.clip(x, eps, 1 - eps)),
    "index_get": lambda x, *indices, places: x[full_index(indices, places)],
    "index_put": index_put,
    "embedding": lambda weight, index: weight[index],
    "embedding_grad": embedding_grad,
    "nonzero": nonzero,
    "tril": lambda x, diagonal=0: np.tril(x, diagonal),
    "triu": lambda x, diagonal=0: np.triu(x, diagonal),
    "sort": sort,
    "ranked": ranked,
    "unique": unique,
    "searchsorted": searchsorted,
    "matmul": matmul,
    "dot": matmul,
    "mv": matmul,
    "random_uniform": random_uniform,
    "random_normal": random_normal,
    "random_integers": random_integers,
    **LINALG_ORACLES,
    **NN_ORACLES,
    **RECURRENT_ORACLES,
}


def named(text: str) -> set[str]:
    """Names that stand in a text."""
    return set(text.split())


LOWER = named("matmul linear convolution convolution_grad_input convolution_grad_weight prelu attention")
LOSSES = named(
    "cross_entropy soft_cross_entropy nll_loss mse_loss l1_loss smooth_l1_loss huber_loss kl_div "
    "binary_cross_entropy binary_cross_entropy_with_logits ctc_loss"
)

# On CUDA PyTorch refuses half matrices, under autocast too; here both kinds of device widen them.
WIDE = set(LINALG_ORACLES) - {"rows_exchanged", "pseudoinverse"}

# What PyTorch 2.13 documents for torch.autocast, per kind of device; other ops take what they get.
AMP: dict[str, dict[str, set[str]]] = {
    "cuda": {
        "lower": LOWER | set(RECURRENT_ORACLES) | {"mv"},
        "float32": LOSSES
        | WIDE
        | named("acos asin cosh erfinv exp expm1 log log10 log1p log2 pow square reciprocal rsqrt sinh tan")
        | named("cumprod cumsum prod sum logsumexp vector_norm softmax log_softmax softplus")
        | named("layer_norm group_norm rms_norm resample distances"),
        "widest": named("addcdiv addcmul atan2 dot index_put scatter_add"),
        "float32 for volumes": set(),
    },
    "cpu": {
        "lower": LOWER,
        "float32": LOSSES
        | WIDE - named("matrix_exp linalg_det linalg_slogdet linalg_lu_factor_ex linalg_solve_ex")
        | named("prod polar view_as_complex distances"),
        "widest": named("cat"),
        "float32 for volumes": named("avg_pool adaptive_avg_pool"),
    },
}
