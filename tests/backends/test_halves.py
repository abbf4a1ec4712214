"""Half types on the CPU: exact casts, and kernels whose large arrays give what small ones do."""

from __future__ import annotations

import gc
from typing import ClassVar

import numpy as np
import pytest

from devtensor.backend.arraylib import elementwise
from devtensor.backend.arraylib.halves import MOVING
from devtensor_numpy import half_kernels, halves, leases
from devtensor_numpy.compile.casts import casts
from devtensor_numpy.half_bits import BY_BITS, TRUTHS
from devtensor_numpy.ordering import INFINITY, ORDERING, keys, turned
from half_runs import HALF_TYPES, WAYS, borders, every, everything_is_large, go, specials
from kernel_runs import cpu

rng = np.random.default_rng(0)


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    go(request.param, monkeypatch)
    return request.param


@pytest.fixture(params=HALF_TYPES)
def dtype(request):
    return request.param


def kernel_of(name, dtype):
    return cpu.specialise(name, cpu.kernels[name], dtype, False)


def test_every_half_number_becomes_float32_exactly(way, dtype):
    x = every(HALF_TYPES[dtype])
    found = cpu.kernels["cast"](x, "float32")
    assert found.tobytes() == x.astype(np.float32).tobytes()


def test_every_border_of_rounding(way, dtype):
    half = HALF_TYPES[dtype]
    x = np.concatenate([borders(half)] * 2)
    with np.errstate(all="ignore"):
        assert cpu.kernels["cast"](x, dtype).tobytes() == x.astype(half).tobytes()
        for special in (specials(), specials()[:1]):
            mixed = np.concatenate([x[:5000], special])
            assert cpu.kernels["cast"](mixed, dtype).tobytes() == mixed.astype(half).tobytes()


def test_random_bits_round_as_numpy_rounds(way, dtype):
    x = rng.integers(0, 1 << 32, 1 << 18, dtype=np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        expected = x.astype(HALF_TYPES[dtype])
        assert cpu.kernels["cast"](x, dtype).tobytes() == expected.tobytes()


LAYOUTS = {
    "rows": lambda x: x,
    "columns": np.asfortranarray,
    "turned": lambda x: x.transpose(2, 0, 1),
    "every other": lambda x: x[::2, :, ::3],
    "backwards": lambda x: x[::-1, :, ::-1],
    "expanded": lambda x: np.broadcast_to(x[:, :1], x.shape),
    "offset": lambda x: x[1:, 2:],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_casts_keep_the_layout(way, dtype, layout):
    x = LAYOUTS[layout](rng.normal(size=(20, 30, 40)).astype(HALF_TYPES[dtype]))
    up = cpu.kernels["cast"](x, "float32")
    assert np.array_equal(up, x.astype(np.float32))
    down = cpu.kernels["cast"](up, dtype)
    assert down.dtype == x.dtype and np.array_equal(down.view(np.uint16), x.view(np.uint16))
    for made in (up, down):
        dense = np.empty_like(x, made.dtype, "C" if layout in ("expanded", "backwards") else "K")
        assert made.strides == dense.strides
        assert made.flags.writeable and not np.shares_memory(made, x)


def test_a_half_type_becomes_the_other(way):
    x = every(HALF_TYPES["float16"])
    x = x[~np.isnan(x)]
    expected = x.astype(np.float32).astype(HALF_TYPES["bfloat16"])
    assert cpu.kernels["cast"](x, "bfloat16").tobytes() == expected.tobytes()


WHOLE = {"int8": 100, "uint8": 100, "int32": 30000, "int64": 30000, "float64": 30000, "complex64": 30000}
"""Dtypes, and the largest numbers that both they and the half types hold here."""


@pytest.mark.parametrize("other", [*WHOLE, "bool"])
@pytest.mark.parametrize("layout", ["rows", "turned", "every other", "expanded"])
def test_casts_between_half_types_and_others(way, dtype, other, layout, monkeypatch):
    half, limit = HALF_TYPES[dtype], WHOLE.get(other, 1)
    x = rng.integers(0 if other == "uint8" else -limit, limit + 1, (20, 30, 40)).astype(np.float32)
    x.flat[:3] = (-0.0, 0.0, np.nan) if other in ("bool", "float64", "complex64") else 0
    x = LAYOUTS[layout]((x / 4 if other == "float64" else x).astype(half))
    expected = x.astype(np.float32).astype(other)
    for large in (False, True):
        if large:
            everything_is_large(monkeypatch)
        found = cpu.kernels["cast"](x, other)
        assert found.dtype == other and np.array_equal(found, expected, equal_nan=True)
        back = cpu.kernels["cast"](found, dtype)
        same(back, expected.real.astype(np.float32).astype(half))
        assert back.strides == np.empty_like(x, order="C" if layout == "expanded" else "K").strides


def test_float64_is_rounded_by_way_of_float32(way, dtype, monkeypatch):
    """As PyTorch does: a number just above the middle of two halves may become the lower one."""
    half = HALF_TYPES[dtype]
    unit = float(np.finfo(np.float16).eps) if dtype == "float16" else 2.0**-7
    x = np.array([1 + unit / 2 + 2.0**-40, -1 - unit / 2 - 2.0**-40, 1 + unit / 2 + 2.0**-20, 1e300, 0.1])
    with np.errstate(all="ignore"):
        expected = x.astype(np.float32).astype(half)
        assert expected[0] == 1 and expected[2] > 1
        same(cpu.kernels["cast"](x, dtype), expected)
        same(cpu.kernels["cast"](x[:1].reshape(()), dtype), expected[:1].reshape(()))
        everything_is_large(monkeypatch)
        same(cpu.kernels["cast"](x, dtype), expected)


@pytest.mark.parametrize("value", [0, 1.5, -0.1, 1e-7, 1e5, np.inf, -np.inf, np.nan, True])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_numbers_that_fill(dtype, value):
    half = HALF_TYPES[dtype]
    number = np.array(value, np.float32).astype(half)
    same(cpu.kernels["full"]((3, 4), value, dtype), np.broadcast_to(number, (3, 4)))
    same(cpu.kernels["full"]((), value, dtype), number)
    x = np.ones((2, 3), half)
    found = kernel_of("pad", dtype)(x, ((1, 0), (0, -1)), value)
    same(found, np.stack([np.broadcast_to(number, 2), x[0, :2], x[0, :2]]))


def test_writing_into_arrays_of_any_layout(dtype):
    half = HALF_TYPES[dtype]
    source = (rng.integers(-8, 9, (6, 5, 9)) / 4).astype(half)
    source[0, 0, :3] = np.nan, np.inf, -0.0
    write = kernel_of("write", dtype)
    for lay in LAYOUTS.values():
        if lay is LAYOUTS["expanded"]:
            continue
        target = lay(np.zeros((6, 5, 9), half))
        assert write(target, lay(source)) is target
        assert np.ascontiguousarray(target).tobytes() == np.ascontiguousarray(lay(source)).tobytes()
        write(target, source[1, 1, 1:2])
        assert (target == source[1, 1, 1]).all()


def test_nll_loss_reads_what_it_needs_and_rounds_once(dtype):
    half = HALF_TYPES[dtype]
    logs, weight = rng.normal(size=(3000, 4)).astype(half), rng.uniform(0.5, 2, 4).astype(half)
    target = rng.integers(0, 4, 3000)
    each = -logs.astype(np.float64)[np.arange(3000), target] * weight.astype(np.float64)[target]
    run = kernel_of("nll_loss", dtype)
    found = run(logs, target, weight, "mean", -100)
    assert found.dtype == half
    expected = each.sum() / weight.astype(np.float64)[target].sum()
    assert abs(float(found) - expected) <= abs(expected) * (2.0**-11 if dtype == "float16" else 2.0**-8)
    same(run(logs, target, weight, "none", -100), each.astype(np.float32).astype(half))


# name -> arguments besides the first array; the arrays are drawn by `operands`.
UNARY = {*elementwise.UNARY, *elementwise.ROUNDINGS, "sigmoid", "rsqrt", "sign", "erf", "erfc"} - {
    "bitwise_not"
}
BINARY = {*elementwise.BINARY, *elementwise.DIVISIONS, "pow"} - {
    name for name in elementwise.BINARY if name.startswith("bitwise") or name == "gcd"
}
CASES = {
    **{name: () for name in sorted(UNARY)},
    "all": ((1,), False),
    "any": ((0,), True),
    "nonzero": (),
    "amax": ((0, 2), False),
    "amin": (None, False),
    "argmax": (1, False),
    "argmin": (2, True),
    "ranked": (2, 1, 4, True),
    "sort": (1, True),
    "extreme_places": (1, True),
    "sum": ((0,), False),
    "prod": ((2,), True),
    "mean": ((0, 1), False),
    "var": ((1,), False, 1),
    "cumsum": (2,),
    "softmax": (1,),
    "log_softmax": (2,),
    "gelu": ("none",),
}


def operands(half):
    """Arrays with ties, zeros of both signs and, in some, NaN and infinities."""
    x = (rng.integers(-8, 9, (6, 5, 9)) / 4).astype(half)
    yield x
    yield np.abs(x)
    yield -np.abs(x) - np.array(0.5, half)
    x = x.copy()
    x[0, 0, :4] = [-0.0, np.inf, -np.inf, 0.0]
    yield x
    x = x.copy()
    x[1, 1, 1], x[2, 2, 2] = np.nan, -np.float32(np.nan)
    yield x


def same(found, expected):
    """Bit for bit alike, NaN for NaN."""
    found, expected = (part if isinstance(part, tuple) else (part,) for part in (found, expected))
    for one, other in zip(found, expected, strict=True):
        assert type(one) is np.ndarray and one.dtype == other.dtype and one.shape == other.shape
        both = np.array_equal(one.astype(np.float64), other.astype(np.float64), equal_nan=True)
        assert both, (one, other)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_large_arrays_give_what_small_ones_do(way, dtype, name, monkeypatch):
    kernel = kernel_of(name, dtype)
    given = [lay(x) for x in operands(HALF_TYPES[dtype]) for lay in LAYOUTS.values()]
    expected = [kernel(x, *CASES[name]) for x in given]
    everything_is_large(monkeypatch)
    for x, wanted in zip(given, expected, strict=True):
        same(kernel(x, *CASES[name]), wanted)


def partners(x):
    """Second inputs: alike, otherwise laid out, smaller ones that are repeated, and a larger one."""
    yield x
    yield np.asfortranarray(x[::-1])
    yield x[:1]
    yield x[0, :, :1]
    yield x.reshape(-1)[3:4].reshape(())
    yield x.reshape(-1)[3:4].reshape(1, 1)
    yield x[:0] if x.shape[0] == 1 else x[:1, None]


@pytest.mark.parametrize("name", sorted(BINARY))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_large_arrays_give_what_small_ones_do_with_partners(way, dtype, name, monkeypatch):
    kernel = kernel_of(name, dtype)
    pairs = [(x, y) for x in operands(HALF_TYPES[dtype]) for y in partners(x)]
    pairs += [(y, x) for x, y in pairs]
    expected = [kernel(x, y) for x, y in pairs]
    everything_is_large(monkeypatch)
    for (x, y), wanted in zip(pairs, expected, strict=True):
        same(kernel(x, y), wanted)


def test_what_overflows_is_written_once_where_that_raises(way, dtype, monkeypatch):
    """NumPy, made to raise, does so before anything is written, or not at all."""
    everything_is_large(monkeypatch)
    for size in (3, 300, 200_000):
        x = np.full(size, 3.0, HALF_TYPES[dtype])
        x[-1] = 0
        with np.errstate(all="raise"):
            try:
                kernel_of("div", dtype)(np.ones_like(x), x, x)
            except FloatingPointError:
                assert (x[:-1] == 3).all()
                continue
        assert np.isinf(x[-1]) and (x[:-1] == np.float32(1 / 3).astype(x.dtype)).all()


@pytest.mark.parametrize("name", ["add", "maximum", "le", "neg", "logical_and", "exp"])
def test_large_results_are_written_where_they_are_wanted(way, dtype, name, monkeypatch):
    everything_is_large(monkeypatch)
    kernel = kernel_of(name, dtype)
    x = (rng.integers(-8, 9, (6, 5, 9)) / 4).astype(HALF_TYPES[dtype])
    y = np.zeros((), x.dtype) if name == "maximum" else x[::-1]
    arguments = (x,) if name in ("neg", "exp") else (x, y)
    expected = kernel(*arguments)
    for out in (np.empty_like(expected), np.empty(expected.T.shape, expected.dtype).T):
        assert kernel(*arguments, out=out) is out
        same(out, expected)
    if expected.dtype == x.dtype:
        kernel(*arguments, x)
        same(x, expected)


def test_clamp_takes_either_end(way, dtype, monkeypatch):
    x = np.concatenate(list(operands(HALF_TYPES[dtype])))
    low, high = (np.full((), end, x.dtype) for end in (-1, 1))
    kernel = kernel_of("clamp", dtype)
    for ends in ((low, high), (None, high), (low, None), (None, None), (low, x[..., :1])):
        expected = kernel(x, *ends)
        with monkeypatch.context() as patch:
            everything_is_large(patch)
            same(kernel(x, *ends), expected)


@pytest.mark.parametrize("padding", [0, 1])
def test_pooling_by_the_bits_takes_the_first_of_equals(way, dtype, padding, monkeypatch):
    kernel = kernel_of("max_pool", dtype)
    facts = (3, 2), (2, 2), (padding, padding), (1, 1), bool(padding)
    given = [x.reshape(2, 3, 5, 9) for x in operands(HALF_TYPES[dtype])]
    expected = [cpu.kernels["max_pool"](x.astype(np.float32), *facts) for x in given]
    everything_is_large(monkeypatch)
    for x, (values, places) in zip(given, expected, strict=True):
        found = kernel(x, *facts)
        same(found[0].astype(np.float32), values)
        assert np.array_equal(found[1], places)


def test_keys_are_in_the_order_of_the_numbers(dtype):
    x = every(HALF_TYPES[dtype])
    x = x[(x.view(np.uint16) & 0x7FFF <= INFINITY[dtype]) & (x.view(np.uint16) != 0x8000)]
    found = keys(x, INFINITY[dtype])
    assert found is not None
    assert np.array_equal(np.argsort(found, kind="stable"), np.argsort(x.astype(np.float64), kind="stable"))
    assert turned(found).view(x.dtype).tobytes() == x.tobytes()
    for odd in (np.nan, -np.float32(np.nan), -0.0):
        assert keys(np.append(x, np.array([odd]).astype(x.dtype)), INFINITY[dtype]) is None


def test_batch_norm_rounds_once(way, dtype, monkeypatch):
    half = HALF_TYPES[dtype]
    x = rng.normal(size=(4, 3, 5, 6)).astype(half)
    mean, var, weight, bias = rng.uniform(0.5, 2, (4, 3)).astype(np.float32)
    channels = [part.astype(np.float64).reshape(-1, 1, 1) for part in (mean, var, weight, bias)]
    expected = (x - channels[0]) / np.sqrt(channels[1] + 1e-5) * channels[2] + channels[3]
    everything_is_large(monkeypatch)
    for own in (np.float32, half):
        parts = [part.astype(own) for part in (mean, var, weight, bias)]
        found = kernel_of("batch_norm", dtype)(x, *parts, 1e-5)
        assert found.dtype == half
        if own is np.float32:
            unit = np.spacing(np.abs(expected).astype(np.float32)) * 2.0 ** (13 if dtype == "float16" else 16)
            assert (np.abs(found.astype(np.float64) - expected) <= 0.51 * unit + 1e-6).all()


# Sums of 10,000 terms that a half type would lose: 1 + 1 + ... stands still at 2,048 in float16, at 256 in
# bfloat16.
TERMS = 10_000


def test_sums_of_many_terms_are_taken_in_float32(dtype):
    half = HALF_TYPES[dtype]
    x = np.ones((4, TERMS), half)
    wanted = np.array(TERMS, np.float32).astype(half)
    run = {name: kernel_of(name, dtype) for name in ("matmul", "linear", "sum", "mean", "var", "cumsum")}
    assert (run["matmul"](x, x.T) == wanted).all()
    assert (run["linear"](x, x, None) == wanted).all()
    assert (run["sum"](x, (1,), False) == wanted).all() and (run["sum"](x.T, (0,), False) == wanted).all()
    assert (run["mean"](x, (1,), False) == 1).all()
    assert (run["cumsum"](x, 1)[:, -1] == wanted).all()
    spread = np.tile(np.array([1, 3], half), (4, TERMS // 2))
    assert (run["var"](spread, (1,), False, 0) == 1).all()


def test_convolutions_of_many_terms_are_taken_in_float32(dtype):
    half = HALF_TYPES[dtype]
    wanted = np.array(TERMS, np.float32).astype(half)
    facts = (1, 1), (0, 0), (1, 1), 1
    x, w, g = np.ones((1, 100, 10, 10), half), np.ones((3, 100, 10, 10), half), np.ones((1, 3, 1, 1), half)
    assert (kernel_of("convolution", dtype)(x, w, *facts) == wanted).all()
    many = np.ones((1, TERMS, 1, 1), half)
    back = kernel_of("convolution_grad_input", dtype)
    found = back(many, np.ones((TERMS, 1, 1, 1), half), (1, 1, 1, 1), *facts)
    assert (found == wanted).all()
    weight = kernel_of("convolution_grad_weight", dtype)
    wide = np.ones((1, 1, 100, 100), half)
    assert (weight(wide, wide, (1, 1, 1, 1), *facts) == wanted).all()
    assert kernel_of("convolution_grad_input", dtype)(g, w, x.shape, *facts).dtype == half


def test_softmax_and_layer_norm_of_many_terms_are_taken_in_float32(dtype):
    half = HALF_TYPES[dtype]
    x = np.zeros((2, TERMS), half)
    assert (kernel_of("softmax", dtype)(x, 1) == np.float32(1 / TERMS).astype(half)).all()
    assert (kernel_of("log_softmax", dtype)(x, 1) == np.float32(-np.log(TERMS)).astype(half)).all()
    uneven = rng.normal(100, 1, (2, TERMS)).astype(half)
    exact = uneven.astype(np.float64)
    wanted = (exact - exact.mean(1, keepdims=True)) / np.sqrt(exact.var(1, keepdims=True) + 1e-5)
    found = kernel_of("layer_norm", dtype)(uneven, None, None, 1, 1e-5)
    assert np.abs(found.astype(np.float64) - wanted).max() <= {"float16": 2e-3, "bfloat16": 1.6e-2}[dtype]


class Watched(np.ndarray):
    """An array that notes the NumPy functions which run on large half arrays, element by element."""

    seen: ClassVar[list] = []

    def note(self, what, arrays):
        kinds = HALF_TYPES.values()
        large = any(isinstance(a, np.ndarray) and a.dtype in kinds and a.size > halves.SMALL for a in arrays)
        if large:
            Watched.seen.append(what)

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **rest):
        self.note(ufunc.__name__, (*inputs, *out))
        plain = [a.view(np.ndarray) if isinstance(a, Watched) else a for a in (*inputs, *out)]
        inputs, out = plain[: len(inputs)], tuple(plain[len(inputs) :])
        return getattr(ufunc, method)(*inputs, **({"out": out} if out else {}), **rest)

    def astype(self, dtype, *rest, **named):
        if np.dtype(dtype) != self.dtype:
            self.note("astype", (self,))
        return np.asarray(self).astype(dtype, *rest, **named)


def watched(x):
    return x.view(Watched)


LARGE = {
    **{name: arguments for name, arguments in CASES.items()},
    "std": ((1,), False, 1),
    "vector_norm": ((0,), False, 2.0),
    "cumprod": (2,),
    "safe_softmax": (2,),
    "cast": ("float32",),
    "tril": (0,),
    "copy": (),
    "flip": ((1,),),
    "lgamma": (),
    "digamma": (),
    "erfinv": (),
}
NUMBER = np.array(0.5, np.float32)
OF_THREE = {"lerp": 1, "add_scaled": 1, "sub_scaled": 1, "addcmul": 2, "addcdiv": 2}
LARGE_PAIRS = [*sorted(BINARY), "matmul", "softmax_gradient", "gelu_gradient", "clamp", *OF_THREE]
REST_OF_PAIRS = {"softmax_gradient": (2,), "gelu_gradient": ("none",), "clamp": (None,)}
REST_OF_PAIRS |= {name: (NUMBER,) * count for name, count in OF_THREE.items()}


@pytest.mark.parametrize("name", [*LARGE, *LARGE_PAIRS])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_half_loop_of_numpy_runs_on_large_arrays(way, dtype, name):
    Watched.seen = []
    x = rng.uniform(0.1, 0.9, (16, 24, 24)).astype(HALF_TYPES[dtype])
    for lay in (lambda a: a, lambda a: a.swapaxes(0, 2)):
        y = watched(lay(x))
        if name in LARGE:
            kernel_of(name, dtype)(y, *LARGE[name])
        else:
            other = y.swapaxes(-1, -2) if name == "matmul" else y
            kernel_of(name, dtype)(y, other, *REST_OF_PAIRS.get(name, ()))
    assert not Watched.seen


@pytest.mark.parametrize("name", ["convolution", "max_pool", "avg_pool", "batch_norm", "layer_norm"])
def test_no_half_loop_of_numpy_runs_on_large_planes(way, dtype, name):
    Watched.seen = []
    half = HALF_TYPES[dtype]
    x = watched(rng.uniform(0.1, 0.9, (8, 6, 16, 16)).astype(half))
    near = (3, 3), (2, 2), (1, 1)
    statistic = np.ones(6, np.float32)
    arguments = {
        "convolution": (np.ones((6, 6, 3, 3), half), (1, 1), (1, 1), (1, 1), 1),
        "max_pool": (*near, (1, 1), False),
        "avg_pool": near,
        "batch_norm": (statistic, statistic, statistic, statistic, 1e-5),
        "layer_norm": (None, None, 1, 1e-5),
    }
    kernel_of(name, dtype)(x, *arguments[name])
    assert not Watched.seen


def test_the_watch_sees_what_it_is_for(dtype):
    Watched.seen = []
    x = watched(np.ones(10_000, HALF_TYPES[dtype]))
    np.add(x, x)
    np.add.reduce(x)
    x.astype(np.float32)
    x[:10] + x[:10]
    assert Watched.seen == ["add", "add", "astype"]


def test_every_kernel_of_one_array_is_watched():
    """What is computed by blocks or by the bits is in the tables above."""
    known = {*LARGE, *LARGE_PAIRS, "max_pool", "gcd"}
    elementwise = {name for name in half_kernels.ELEMENTWISE if not name.startswith("bitwise")}
    assert elementwise - known - MOVING == set()
    assert ({*BY_BITS, *TRUTHS} | ORDERING) <= known


def test_memory_of_large_arrays_is_used_again():
    first = leases.fresh((300, 1000), np.float16)
    place = first.__array_interface__["data"][0]
    view = first[1:]
    del first
    other = leases.fresh((300, 1000), np.float16)
    assert not np.shares_memory(view, other), "a view keeps its memory"
    del view
    gc.collect()
    again = leases.fresh((150, 1000), np.float32)
    assert again.__array_interface__["data"][0] == place
    assert type(again) is np.ndarray and again.flags.writeable and again.flags.c_contiguous


def test_little_memory_is_kept(monkeypatch):
    store = leases.Kept()
    monkeypatch.setattr(leases, "LIMIT", 3 << 20)
    pieces = [leases.Memory(1 << 20, np.uint8) for _ in range(4)]
    for count, piece in enumerate(pieces, 1):
        store.give_back(piece)
        assert store.size == (count if count <= 3 else 1) << 20
    store.give_back(leases.Memory(4 << 20, np.uint8))
    assert store.size == 0
    assert store.take(1 << 20).size == 1 << 20 and store.size == 0


def test_passes_serve_without_machine_code(monkeypatch):
    monkeypatch.setattr(casts, "found", {})
    x = rng.normal(size=100_000).astype(np.float32)
    assert cpu.kernels["cast"](x, "float16").tobytes() == x.astype(np.float16).tobytes()
