"""Every kernel, on the generic, the CPU's and the strict backend, against NumPy and SciPy in float64."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from scipy import special

import devtensor_numpy
from devtensor.backend import arraylib
from devtensor.backend.arraylib.elementwise import BINARY, DIVISIONS, ROUNDINGS
from devtensor.backend.protocol import DTYPES, Backend
from devtensor.testing import strict

FLOATS = ("float64", "float32", "float16", "bfloat16")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
TOLERANCE = {"float64": 2e-12, "float32": 3e-6, "float16": 2e-3, "bfloat16": 1.6e-2}
KINDS = arraylib.find_dtypes(np)
cpu = devtensor_numpy.backend


class Generic:
    """arraylib's kernels over NumPy, as a third party would use them."""

    kernels = arraylib.kernels(np)

    def wrap(self, x):
        return x

    def call(self, name, dtype, arguments):
        with np.errstate(all="ignore"):
            return arraylib.half_kernel(np, name, self.kernels[name], dtype)(*arguments)

    def unwrap(self, x):
        assert type(x) is np.ndarray
        return x


class Cpu(Generic):
    """The CPU's kernels, called as dispatch calls them."""

    kernels = cpu.kernels

    def call(self, name, dtype, arguments):
        kernel = cpu.specialise(name, self.kernels[name], dtype)
        try:
            return kernel(*arguments)
        except (FloatingPointError, RuntimeWarning):
            return cpu.rerun(kernel, arguments)


class Strict(Generic):
    """The strict backend, which checks every call."""

    def wrap(self, x):
        return strict.StrictArray(x)

    def call(self, name, dtype, arguments):
        kernel = strict.backend.specialise(name, strict.backend.kernels[name], dtype)
        return kernel(*arguments)

    def unwrap(self, x):
        assert type(x) is strict.StrictArray
        return x.held


@pytest.fixture(params=[Generic(), Cpu(), Strict()], ids=["generic", "cpu", "strict"])
def run(request):
    """`run(name, *arguments)` with NumPy arrays in and out."""
    library = request.param

    def runner(name, *arguments):
        floating = [x.dtype.name for x in arguments if isinstance(x, np.ndarray) and x.dtype.name in FLOATS]
        dtype = floating[0] if floating else "int64"
        given = [library.wrap(x) if isinstance(x, np.ndarray) else x for x in arguments]
        result = library.call(name, dtype, tuple(given))
        return tuple(map(library.unwrap, result)) if isinstance(result, tuple) else library.unwrap(result)

    return runner


def first(x):
    """The first value as a 0-d array."""
    return x.reshape(-1)[:1].reshape(())


def layouts(x):
    """The same values laid out in several ways, and the degenerate shapes."""
    yield x
    yield np.asfortranarray(x)
    yield x[::-1, ::-2]
    yield np.broadcast_to(x[:1], x.shape)
    yield first(x)
    yield x[:0]


def draw(shape, dtype="float64", low=-2.0, high=2.0, seed=0):
    values = np.asarray(np.random.default_rng(seed).uniform(low, high, shape))
    return values.astype(KINDS[dtype])


def close(result, expected, dtype, scale=1.0):
    """Compare with a float64 reference at the dtype's tolerance."""
    assert result.dtype.name == dtype
    assert result.shape == np.shape(expected)
    limit = scale * TOLERANCE[dtype]
    np.testing.assert_allclose(result.astype(np.float64), expected, rtol=limit, atol=limit)


UNARY = {
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "square": np.square,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
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
    "sigmoid": special.expit,
    "lgamma": special.gammaln,
    "digamma": special.psi,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "trunc": np.trunc,
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_unary(run, name, dtype):
    low, high = {"acosh": (1.1, 4), "atanh": (-0.9, 0.9), "tan": (-1.2, 1.2)}.get(name, (-0.95, 0.95))
    for x in layouts(draw((4, 6), dtype, low, high)):
        with np.errstate(all="ignore"):
            expected = UNARY[name](x.astype(np.float64))
        close(run(name, x), expected, dtype, scale=4)


@pytest.mark.parametrize("name", ["erf", "erfc", "erfinv", "sigmoid", "lgamma", "digamma", "rsqrt"])
def test_large_arrays_go_in_blocks(run, name):
    x = draw((300, 301), "float32", 0.01, 0.99)
    close(run(name, x), UNARY[name](x.astype(np.float64)), "float32", scale=4)


@pytest.mark.parametrize("name", ["erf", "erfc", "erfinv", "lgamma", "digamma"])
def test_special_functions_over_their_range(run, name):
    tails = np.logspace(-12, 1.4, 200)
    x = np.concatenate([np.linspace(-12.03, 30, 1001), tails, -tails])
    if name == "erfinv":
        x = np.concatenate(
            [np.linspace(-1, 1, 1001), 1 - np.logspace(-16, -1, 200), np.logspace(-200, -1, 50)]
        )
    expected = UNARY[name](x)
    close(run(name, x), expected, "float64", scale=10)
    single = x.astype(np.float32)
    np.testing.assert_allclose(
        run(name, single), UNARY[name](single.astype(np.float64)).astype(np.float32), rtol=3e-7
    )


def test_special_functions_at_their_ends(run):
    def at(name, *values):
        return run(name, np.array(values)).tolist()

    inf, nan = np.inf, np.nan
    np.testing.assert_array_equal(at("erf", inf, -inf, nan), [1, -1, nan])
    np.testing.assert_array_equal(at("erfc", inf, -inf, nan), [0, 2, nan])
    np.testing.assert_array_equal(at("erfinv", 1, -1, 1.5, nan), [inf, -inf, nan, nan])
    np.testing.assert_array_equal(at("lgamma", 0, -3, inf, -inf, nan), [inf, inf, inf, inf, nan])
    np.testing.assert_array_equal(at("digamma", 0, -0.0, -3, inf, nan), [-inf, inf, nan, inf, nan])
    assert np.signbit(run("erf", np.array([-0.0, 0.0], np.float32))).tolist() == [True, False]


def test_erf_of_float32_is_within_two_units(run):
    x = np.linspace(-5, 5, 100001).astype(np.float32)
    expected = special.erf(x.astype(np.float64))
    units = np.abs(run("erf", x) - expected) / np.spacing(np.abs(expected).astype(np.float32))
    assert units.max() < 2


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite", "logical_not"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_predicates(run, name, dtype):
    x = np.array([0, 1, -1, np.inf, -np.inf, np.nan]).astype(KINDS[dtype])
    result = run(name, x)
    assert result.dtype == np.bool_
    assert result.tolist() == getattr(np, name)(x.astype(np.float64)).tolist()


BINARY_REFERENCE = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "floor_divide": np.floor_divide,
    "remainder": np.mod,
    "fmod": np.fmod,
    "pow": lambda x, y: np.abs(x) ** y,
    "atan2": np.arctan2,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "hypot": np.hypot,
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BINARY_REFERENCE)
def test_binary(run, name, dtype):
    for x, y in itertools.product(
        layouts(draw((4, 6), dtype)), [draw((4, 6), dtype, seed=1), draw((), dtype, seed=2)]
    ):
        if name == "pow":
            x = np.asarray(np.abs(x))
        if x.shape not in ((4, 6), (), (0, 6)) or (x.shape == (0, 6) and y.shape):
            x, y = x, first(y) if y.ndim else y
        expected = BINARY_REFERENCE[name](x.astype(np.float64), y.astype(np.float64))
        if name in DIVISIONS and dtype in ("float16", "bfloat16"):
            close(
                run(name, x, y),
                BINARY_REFERENCE[name](x.astype(np.float32), y.astype(np.float32)),
                dtype,
                scale=2,
            )
        else:
            close(run(name, x, y), expected, dtype, scale=4)


def test_all_binary_kernels_broadcast(run):
    x, y = draw((3, 1, 4), low=0.5), draw((2, 1), low=0.5, seed=1)
    for name in BINARY | DIVISIONS:
        if name.startswith("bitwise"):
            x_int, y_int = np.arange(12).reshape(3, 1, 4), np.array([[1], [2]])
            assert run(name, x_int, y_int).shape == (3, 2, 4)
        else:
            assert run(name, x, y).shape == (3, 2, 4)


@pytest.mark.parametrize("exponent", [2.0, 0.5, -1.0, 1.0, 3.0, 0.0, -2.5])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_power_by_a_constant(run, exponent, dtype):
    x = draw((5, 3), dtype, 0.2, 2)
    result = run("pow", x, np.array(exponent, KINDS[dtype]))
    close(result, x.astype(np.float64) ** exponent, dtype, scale=2)
    assert not np.may_share_memory(result, x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "name", ["eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor"]
)
def test_comparisons(run, name, dtype):
    x = np.array([0, 1, np.nan, 2, -np.inf]).astype(KINDS[dtype])
    y = np.array([0, 2, np.nan, 1, np.inf]).astype(KINDS[dtype])
    result = run(name, x, y)
    reference = getattr(np, BINARY[name])
    assert result.dtype == np.bool_
    assert result.tolist() == reference(x.astype(np.float64), y.astype(np.float64)).tolist()
    assert run(name, x[:1].reshape(()), y[:1].reshape(())).shape == ()


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers(run, dtype):
    x, y = np.array([7, 5, 100, 3], dtype), np.array([2, 3, 1, 3], dtype)
    for name in ("add", "sub", "mul", "maximum", "minimum", "pow", *DIVISIONS):
        result = run(name, x, y)
        reference = getattr(np, (BINARY | DIVISIONS)[name])
        assert result.dtype == x.dtype and result.tolist() == reference(x, y).tolist()
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift"):
        assert run(name, x, y).tolist() == getattr(np, BINARY[name])(x, y).tolist()
    for name in (*ROUNDINGS, "abs", "square", "sign", "bitwise_not", "neg"):
        assert run(name, x).dtype == x.dtype
    assert run("floor", x).tolist() == x.tolist()
    assert run("bitwise_not", x).tolist() == (~x).tolist()


def test_signs_of_integer_division(run):
    x, y = np.array([7, -7, 7, -7]), np.array([2, 2, -2, -2])
    assert run("floor_divide", x, y).tolist() == [3, -4, -4, 3]
    assert run("remainder", x, y).tolist() == [1, 1, -1, -1]
    assert run("fmod", x, y).tolist() == [1, -1, 1, -1]


@pytest.mark.parametrize("name", DIVISIONS)
def test_integer_division_by_zero(run, name):
    with pytest.raises(ZeroDivisionError):
        run(name, np.array([1, 2]), np.array([1, 0]))
    floats = run(name, np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    assert not np.isfinite(floats[1])


def test_extremes_propagate_nan(run):
    x, y = np.array([np.nan, 1.0]), np.array([0.0, np.nan])
    assert np.isnan(run("maximum", x, y)).all() and np.isnan(run("minimum", x, y)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_where(run, dtype):
    x, y = np.ones((2, 3)).astype(KINDS[dtype]), np.zeros((3,)).astype(KINDS[dtype])
    mask = np.array([[True], [False]])
    result = run("where", mask, x, y)
    assert result.dtype == x.dtype and result.astype(int).tolist() == [[1] * 3, [0] * 3]
    assert run("where", np.array(True), first(x), first(y)).shape == ()


@pytest.mark.parametrize("dtype", DTYPES)
def test_full_and_arange(run, dtype):
    for shape in [(), (0, 2), (2, 3)]:
        result = run("full", shape, 1, dtype)
        assert result.shape == shape and result.dtype == KINDS[dtype] and (result == 1).all()
    if dtype != "bool":
        assert run("arange", 3, 2, 4, dtype).astype(int).tolist() == [3, 5, 7, 9]
        assert run("arange", 3, 2, 0, dtype).shape == (0,)


def test_arange_of_fractions_and_large_integers(run):
    assert run("arange", 0, 0.1, 4, "float64").tolist() == [0, 0.1, 0.2, 0.1 * 3]
    assert run("arange", 2**62, 1, 3, "int64").tolist() == [2**62, 2**62 + 1, 2**62 + 2]
    assert run("full", (2,), 1e6, "float16").tolist() == [np.inf, np.inf]


@pytest.mark.parametrize(("source", "target"), list(itertools.product(DTYPES, DTYPES)))
def test_cast(run, source, target):
    values = np.array([[0, 1, 2], [1, 100, 3]]).astype(KINDS[source])
    for x in (values, values.T, values[:, ::-1], first(values), values[:0]):
        result = run("cast", x, target)
        assert result.dtype == KINDS[target] and result.shape == x.shape
        assert (
            result.astype(np.float64).tolist()
            == x.astype(np.float64).astype(KINDS[target]).astype(float).tolist()
        )
        assert not np.may_share_memory(result, x) or not x.size


def test_cast_truncates_and_asks_whether_not_zero(run):
    x = np.array([2.9, -2.9, 0.0, 0.4, np.nan])
    assert run("cast", x[:4], "int32").tolist() == [2, -2, 0, 0]
    assert run("cast", x, "bool").tolist() == [True, True, False, True, True]


def test_float16_conversion_is_exact():
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    wide = np.concatenate([every.astype(np.float32)] * 2)
    assert cpu.kernels["cast"](np.concatenate([every] * 2), "float32").tobytes() == wide.tobytes()
    finite = np.sort(wide[np.isfinite(wide)])
    middles = (finite[:-1] + finite[1:]) / 2
    around = [
        f(m, np.float32(s))
        for m in (finite, middles)
        for f, s in ((np.nextafter, np.inf), (np.nextafter, -9e9))
    ]
    hard = np.concatenate([finite, middles, *around])
    hard = np.concatenate([hard[np.abs(hard) < 65520]] * 3)
    for ends in ([], [np.inf, -np.inf, np.nan, 65519.996, 65520, 1e30]):
        x = np.append(hard, np.array(ends)).astype(np.float32)
        with np.errstate(all="ignore"):
            expected = x.astype(np.float16)
            assert cpu.kernels["cast"](x, "float16").tobytes() == expected.tobytes()


def test_copy_and_write(run):
    x = draw((3, 4))
    assert run("copy", x.T).flags.c_contiguous
    assert run("copy", x.T).tolist() == x.T.tolist()
    target = np.zeros((4, 3))
    assert run("write", target.T, x).tolist() == x.tolist() and target.tolist() == x.T.tolist()
    run("write", target, np.array(5.0))
    assert (target == 5).all()


DIMS = [(), (0,), (2,), (0, 2), (0, 1, 2)]
REDUCTIONS = {"sum": np.sum, "prod": np.prod, "amax": np.max, "amin": np.min, "any": np.any, "all": np.all}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(run, name, keepdim, dtype):
    base = draw((3, 4, 5), dtype, 0.5, 1.5)
    for x, dims in itertools.product((base, base.swapaxes(0, 2), base[::-1, :, ::2]), DIMS):
        expected = REDUCTIONS[name](x.astype(np.float64), axis=dims, keepdims=keepdim)
        result = run(name, x, dims, keepdim)
        if name in ("any", "all"):
            expected = expected if dims else x.astype(bool)
            assert result.dtype == np.bool_ and result.tolist() == expected.tolist()
        else:
            close(result, expected, dtype, scale=20)
    assert run(name, first(base), (), keepdim).shape == ()


def test_reductions_of_nothing(run):
    empty = np.zeros((0, 3))
    assert run("sum", empty, (0,), False).tolist() == [0] * 3
    assert run("prod", empty, (0, 1), False).tolist() == 1
    assert run("any", empty, (0,), True).tolist() == [[False] * 3]
    assert run("amax", empty, (1,), False).shape == (0,)
    with pytest.raises(ValueError):
        run("amax", empty, (0,), False)


def test_reductions_keep_integers_and_nan(run):
    assert run("sum", np.array([100, 100], np.int8), (0,), False).tolist() == -56
    assert run("sum", np.arange(5), (0,), False).dtype == np.int64
    assert np.isnan(run("amax", np.array([1, np.nan, 2]), (0,), False))
    assert run("sum", np.ones(5000, np.float16), (0,), False).tolist() == 5000


@pytest.mark.parametrize("dtype", [*FLOATS, "int32", "bool"])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_positions(run, name, dtype):
    x = draw((3, 7), low=-9, high=9).round().astype(KINDS[dtype])
    for dim, keepdim in itertools.product((0, 1), (False, True)):
        result = run(name, x, dim, keepdim)
        expected = getattr(np, name)(x.astype(np.float64), axis=dim, keepdims=keepdim)
        assert result.dtype == np.int64 and result.tolist() == expected.tolist()
    assert run(name, first(x), 0, False).tolist() == 0
    assert run(name, np.array([1, np.nan, 0, np.nan]), 0, False).tolist() == 1


@pytest.mark.parametrize("dtype", FLOATS)
def test_running(run, dtype):
    x = draw((3, 4), dtype, 0.5, 1.5)
    for dim, view in itertools.product((0, 1), (x, x.T, x[::-1])):
        close(run("cumsum", view, dim), view.astype(np.float64).cumsum(dim), dtype, scale=4)
        close(run("cumprod", view, dim), view.astype(np.float64).cumprod(dim), dtype, scale=4)
    assert run("cumsum", first(x), 0).shape == ()
    assert run("cumsum", np.arange(4, dtype=np.int8), 0).dtype == np.int8


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 4), (200, 300), (0, 3), (3, 0), ()])
def test_softmax(run, shape, dtype):
    x = draw(shape, dtype, -3, 3)
    for dim in range(max(x.ndim, 1)):
        axis = dim if x.ndim else None
        wide = x.astype(np.float64)
        expected = special.softmax(wide, axis) if x.size else wide
        close(run("softmax", x, dim), expected, dtype)
        close(run("log_softmax", x, dim), special.log_softmax(wide, axis) if x.size else wide, dtype, scale=4)
    assert run("softmax", np.array([1000.0, 1000.0]), 0).tolist() == [0.5, 0.5]


VIEWS = {
    "reshape": [((6, 4), lambda x: x.reshape(6, 4)), ((24, 1), lambda x: x.reshape(24, 1))],
    "permute": [((2, 0, 1), lambda x: x.transpose(2, 0, 1))],
    "expand": [((5, 2, 3, 4), lambda x: np.broadcast_to(x, (5, 2, 3, 4)))],
    "getitem": [
        ((1,), lambda x: x[1]),
        ((1, 2, 3), lambda x: x[1, 2, 3]),
        ((slice(None), slice(0, 3, 2), None), lambda x: x[:, 0:3:2, None]),
        ((Ellipsis, 0), lambda x: x[..., 0]),
        ((), lambda x: x),
    ],
}


@pytest.mark.parametrize("name", VIEWS)
def test_views(run, name):
    x = np.arange(24.0).reshape(2, 3, 4)
    for param, reference in VIEWS[name]:
        result = run(name, x, param)
        assert result.tolist() == reference(x).tolist() and result.shape == reference(x).shape
        assert np.shares_memory(result, x) and result.flags.writeable


@pytest.mark.parametrize("params", [(2, 1, 1), (2, 2, 1), (3, 1, 2), (1, 3, 1), (7, 1, 1), (2, 1, 6)])
def test_unfold_and_its_adjoint(run, params):
    size, step, dilation = params
    x = draw((3, 7, 2))
    for dim, view in ((1, x), (0, x.swapaxes(0, 1)), (2, x.swapaxes(1, 2)[::-1])):
        windows = run("unfold", view, dim, size, step, dilation)
        starts = range(0, 7 - dilation * (size - 1), step)
        line = np.moveaxis(view, dim, -1)
        expected = np.stack([line[..., s : s + dilation * (size - 1) + 1 : dilation] for s in starts], -2)
        assert np.array_equal(np.moveaxis(windows, dim, -2), expected)
        assert np.shares_memory(windows, view)
        g = draw(windows.shape, seed=1)
        folded = run("fold", g, 7, dim, step, dilation)
        assert folded.shape == view.shape
        assert np.vdot(folded, view) == pytest.approx(np.vdot(g, windows))


@pytest.mark.parametrize("offset", [-5, -2, -1, 0, 1, 3, 6])
def test_diagonal(run, offset):
    x = np.arange(60.0).reshape(3, 4, 5)
    for dim1, dim2 in itertools.permutations(range(3), 2):
        result = run("diagonal", x, offset, dim1, dim2)
        assert np.array_equal(result, x.diagonal(offset, dim1, dim2)) and result.flags.writeable


CHAINS = [
    (),
    (("getitem", ((slice(0, 2),),)),),
    (("permute", ((2, 0, 1),)), ("getitem", ((1, slice(None), slice(1, 3)),))),
    (("permute", ((2, 1, 0),)), ("reshape", ((12, 2),)), ("getitem", ((slice(0, 12, 5),),))),
    (("reshape", ((6, 4),)), ("diagonal", (1, 0, 1))),
    (("getitem", ((0, 1, 2),)),),
    (("unfold", (1, 2, 2, 1)),),
]


@pytest.mark.parametrize("chain", CHAINS)
def test_overwrite(run, chain):
    for root in (draw((2, 3, 4)), draw((4, 3, 2)).T):
        positions = np.arange(24).reshape(2, 3, 4)
        for name, params in chain:
            positions = Generic.kernels[name](positions, *params)
        src = draw(positions.shape, seed=5)
        expected = root.copy().reshape(-1)
        expected[positions] = src
        assert np.array_equal(run("overwrite", root, src, chain), expected.reshape(2, 3, 4))


def test_moves(run):
    x = draw((2, 3, 4))
    for dims in [(), (0,), (0, 2)]:
        assert np.array_equal(run("flip", x, dims), np.flip(x, dims))
    assert np.array_equal(run("cat", x, x[:1], x.copy(), 0), np.concatenate([x, x[:1], x]))
    assert np.array_equal(run("cat", x, x, 2), np.concatenate([x, x], 2))
    assert np.array_equal(run("roll", x, (1, -2), (0, 2)), np.roll(x, (1, -2), (0, 2)))
    for k in (-1, 0, 2):
        assert np.array_equal(run("tril", x, k), np.tril(x, k))
        assert np.array_equal(run("triu", x.swapaxes(1, 2), k), np.triu(x.swapaxes(1, 2), k))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_pad(run, dtype):
    x = draw((2, 3), dtype, 1, 9)
    result = run("pad", x, ((1, 0), (2, 3)), 7)
    assert result.dtype == x.dtype
    assert np.array_equal(result, np.pad(x.astype(float), ((1, 0), (2, 3)), constant_values=7))
    assert np.array_equal(run("pad", x, ((-1, 1), (1, -2)), 0), [[0, x[1, 0]], [0, 0]])
    assert run("pad", x[:0], ((1, 1), (0, 0)), 7).tolist() == [[7] * 3] * 2


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int64"])
def test_index_kernels(run, dtype):
    x = np.arange(20).reshape(4, 5).astype(KINDS[dtype])
    for dim, index in ((0, [3, 0, 3]), (1, [4]), (1, [])):
        index = np.array(index, np.int64)
        assert np.array_equal(run("index_select", x, index, dim), np.take(x, index, dim))
    index = np.array([[0, 3], [2, 1]])
    assert np.array_equal(run("gather", x, index, 0), [[x[0, 0], x[3, 1]], [x[2, 0], x[1, 1]]])
    assert np.array_equal(run("gather", x, index, 1), [[x[0, 0], x[0, 3]], [x[1, 2], x[1, 1]]])
    assert run("gather", first(x), np.array(0), 0).shape == ()
    assert np.array_equal(run("embedding", x, index), x[index])
    assert run("embedding", x, np.array(2)).tolist() == x[2].tolist()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int64"])
def test_scatter(run, dtype):
    x, src = np.zeros((3, 4)).astype(KINDS[dtype]), np.arange(1, 13).reshape(3, 4).astype(KINDS[dtype])
    index = np.array([[0, 2], [2, 2]])
    assert run("scatter", x, index, src, 0).astype(int).tolist() == [[1, 0, 0, 0], [0] * 4, [5, 6, 0, 0]]
    added = run("scatter_add", x, index, src, 0)
    assert added.astype(int).tolist() == [[1, 0, 0, 0], [0] * 4, [5, 8, 0, 0]] and added.dtype == x.dtype
    assert run("scatter_add", x, index, src, 1).astype(int).tolist() == [[1, 0, 2, 0], [0, 0, 11, 0], [0] * 4]
    assert run("scatter", x, index.T[:0], src, 1).tolist() == x.tolist()
    scalar = run("scatter_add", first(x), np.array(0), first(src), 0)
    assert scalar.shape == () and scalar == 1


@pytest.mark.parametrize("bad", [4, -1])
def test_indices_out_of_range(run, bad):
    x, index = draw((4, 4)), np.array([[0, bad]])
    for call in (
        lambda: run("index_select", x, index[0], 1),
        lambda: run("gather", x, index, 1),
        lambda: run("scatter", x, index, x, 0),
        lambda: run("scatter_add", x, index, x, 0),
        lambda: run("embedding", x, index),
        lambda: run("embedding_grad", draw((1, 2, 3)), index, 4),
        lambda: run("embedding_grad", draw((1, 80, 3)), np.resize(index, (1, 80)), 4),
    ):
        with pytest.raises(IndexError):
            call()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("rows", [1, 3, 60, 5000])
@pytest.mark.parametrize("shape", [(), (3,), (5, 40), (0,)])
def test_embedding_grad(run, rows, shape, dtype):
    index = np.random.default_rng(1).integers(0, rows, shape)
    g = draw((*shape, 6), dtype)
    expected = np.zeros((rows, 6))
    np.add.at(expected, index.reshape(-1), g.astype(np.float64).reshape(-1, 6))
    close(run("embedding_grad", g, index, rows), expected, dtype, scale=30)


PLACES = [
    ([np.array([[0, 2], [1, -1]])], (0,)),
    ([np.array([0, 2])], (None, 0)),
    ([np.array([0, 2]), np.array([1, 3])], (0, None, 1)),
    ([np.array([[0], [2]]), np.array([1, 3, -2])], (0, 1)),
    ([np.array(1)], (0,)),
    ([np.array(1), np.array(0), np.array(2)], (0, 1, 2)),
    ([np.array([], np.int64)], (0,)),
]


@pytest.mark.parametrize(("indices", "places"), PLACES)
def test_advanced_indexing(run, indices, places):
    x = draw((3, 4, 5))
    full = tuple(slice(None) if place is None else indices[place] for place in places)
    got = run("index_get", x, *indices, places)
    assert np.array_equal(got, x[full]) and got.shape == np.shape(x[full])
    value = draw(got.shape, seed=2)
    written, added = x.copy(), x.copy()
    written[full] = value
    np.add.at(added, full, value)
    assert np.array_equal(run("index_put", x, value, *indices, places, False), written)
    assert np.array_equal(run("index_put", x, value, *indices, places, True), added)
    with pytest.raises(IndexError):
        run("index_get", x, np.array([9]), (None, 0))


def test_nonzero(run):
    x = np.array([[0, 1.5, 0], [2, 0, np.nan]])
    assert run("nonzero", x).tolist() == [[0, 1], [1, 0], [1, 2]]
    assert run("nonzero", np.array(3.0)).shape == (1, 0) and run("nonzero", np.array(0.0)).shape == (0, 0)
    assert run("nonzero", np.zeros((2, 3))).shape == (0, 2)


@pytest.mark.parametrize("dtype", [*FLOATS, "int32", "uint8", "bool"])
@pytest.mark.parametrize("descending", [False, True])
def test_sort(run, descending, dtype):
    x = draw((6, 9), low=0, high=4).round().astype(KINDS[dtype])
    for dim, view in itertools.product((0, 1), (x, x[::-1])):
        values, index = run("sort", view, dim, descending)
        keys = -view.astype(np.float64) if descending else view.astype(np.float64)
        expected = np.argsort(keys, dim, kind="stable")
        assert values.dtype == view.dtype and index.tolist() == expected.tolist()
        assert np.array_equal(values, np.take_along_axis(view, expected, dim))
    values, index = run("sort", first(x), 0, descending)
    assert values.shape == index.shape == ()


def test_nan_sorts_as_the_largest(run):
    x = np.array([1.0, np.nan, -np.inf, np.inf])
    assert run("sort", x, 0, False)[1].tolist() == [2, 0, 3, 1]
    assert run("sort", x, 0, True)[1].tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("dtype", [*FLOATS, "int16", "bool"])
def test_unique(run, dtype):
    x = np.array([[3, 1, 3], [0, 1, 3]]).astype(KINDS[dtype])
    values, inverse, counts = run("unique", x)
    assert values.dtype == x.dtype and inverse.dtype == counts.dtype == np.int64
    assert np.array_equal(values[inverse], x) and inverse.shape == x.shape
    assert counts.sum() == 6 and np.array_equal(values, np.unique(x.astype(float)))
    assert run("unique", np.array([np.nan, np.nan]))[2].tolist() == [1, 1]
    assert run("unique", np.array(2.0))[1].shape == ()


@pytest.mark.parametrize("right", [False, True])
def test_searchsorted(run, right):
    side = "right" if right else "left"
    edges, values = np.array([1.0, 3, 3, 5]), np.array([[0.0, 3], [5, 9]])
    assert run("searchsorted", edges, values, right).tolist() == np.searchsorted(edges, values, side).tolist()
    lines = np.array([[1.0, 3], [0, 0]])
    assert run("searchsorted", lines, values, right).tolist() == [
        np.searchsorted(line, wanted, side).tolist() for line, wanted in zip(lines, values, strict=True)
    ]
    assert run("searchsorted", edges, np.array(3.0), right).shape == ()


SHAPES = [
    ((3, 4), (4, 5)),
    ((4,), (4,)),
    ((3, 4), (4,)),
    ((4,), (4, 5)),
    ((2, 3, 4), (4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (5, 4, 2)),
    ((3, 0), (0, 5)),
    ((0, 3, 4), (4, 5)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 5)),
]


@pytest.mark.parametrize("dtype", [*FLOATS, "int8", "int32", "int64"])
@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_matmul(run, left, right, dtype):
    a, b = draw(left, dtype, -9, 9), draw(right, dtype, -9, 9, seed=1)
    expected = a.astype(np.float64) @ b.astype(np.float64)
    if dtype in FLOATS:
        close(run("matmul", a, b), expected, dtype, scale=40)
        if a.ndim == 2:
            close(run("matmul", np.asfortranarray(a), b[::-1][::-1]), expected, dtype, scale=40)
    else:
        exact = np.asarray(a.astype(object) @ b.astype(object)).astype(np.int64) if a.size else expected
        result = run("matmul", a, b)
        assert result.dtype == a.dtype and np.array_equal(result, exact.astype(a.dtype))


def test_large_integer_products_are_exact(run):
    a, b = np.array([[2**31 + 1, 3]]), np.array([[2**31 - 1], [7]])
    assert run("matmul", a, b).tolist() == [[(2**31 + 1) * (2**31 - 1) + 21]]
    narrow = np.array([[100, 100]], np.int8)
    assert run("matmul", narrow, narrow.T).tolist() == [[(20000 + 128) % 256 - 128]]


def test_half_products_accumulate_in_float32(run):
    a = np.ones((1, 4096), np.float16)
    assert run("matmul", a, a.T).tolist() == [[4096.0]]
    b = np.ones((1, 1024), ml_dtypes.bfloat16)
    assert run("matmul", b, b.T).astype(float).tolist() == [[1024.0]]


# input, weight, stride, padding, dilation, groups
CONVOLUTIONS = [
    ((2, 3, 7), (4, 3, 3), (1,), (0,), (1,), 1),
    ((2, 3, 8), (4, 3, 3), (2,), (2,), (2,), 1),
    ((2, 3, 6, 7), (4, 3, 3, 2), (1, 1), (0, 0), (1, 1), 1),
    ((3, 4, 6, 7), (6, 2, 3, 2), (2, 1), (1, 2), (1, 2), 2),
    ((2, 4, 5, 5), (4, 1, 3, 3), (1, 1), (1, 1), (1, 1), 4),
    ((2, 3, 5, 5), (2, 3, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((1, 2, 4, 5, 3), (3, 2, 2, 2, 2), (1, 2, 1), (1, 0, 1), (1, 1, 1), 1),
    ((70, 9, 8, 8), (2, 9, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((0, 3, 5, 5), (2, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
]


def naive_convolution(x, w, stride, padding, dilation, groups):
    """Convolution by its definition."""
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True)]
    counts = [(n - span) // s + 1 for n, span, s in zip(padded.shape[2:], spans, stride, strict=True)]
    outputs, depth = w.shape[0] // groups, w.shape[1]
    result = np.zeros((x.shape[0], w.shape[0], *counts))
    for place in np.ndindex(*counts):
        cut = tuple(
            slice(p * s, p * s + span, d)
            for p, s, span, d in zip(place, stride, spans, dilation, strict=True)
        )
        for group in range(groups):
            seen = padded[(slice(None), slice(group * depth, (group + 1) * depth), *cut)]
            rows = slice(group * outputs, (group + 1) * outputs)
            axes = list(range(1, seen.ndim))
            result[(slice(None), rows, *place)] = np.tensordot(seen, w[rows], (axes, axes))
    return result


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(run, case, dtype):
    x, w, params = draw(case[0], dtype), draw(case[1], dtype, seed=1), case[2:]
    expected = naive_convolution(x.astype(np.float64), w.astype(np.float64), *params)
    close(run("convolution", x, w, *params), expected, dtype, scale=60)
    close(
        run("convolution", x[::-1], w[..., ::-1], *params),
        naive_convolution(x[::-1].astype(np.float64), w[..., ::-1].astype(np.float64), *params),
        dtype,
        scale=60,
    )


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution_gradients_are_its_adjoints(run, case):
    x, w, params = draw(case[0]), draw(case[1], seed=1), case[2:]
    out = run("convolution", x, w, *params)
    g = draw(out.shape, seed=2)
    grad_input = run("convolution_grad_input", g, w, x.shape, *params)
    grad_weight = run("convolution_grad_weight", g, x, w.shape, *params)
    assert grad_input.shape == x.shape and grad_weight.shape == w.shape
    for _ in range(3):
        dx, dw = draw(x.shape, seed=3), draw(w.shape, seed=4)
        assert np.vdot(grad_input, dx) == pytest.approx(np.vdot(g, naive_convolution(dx, w, *params)))
        assert np.vdot(grad_weight, dw) == pytest.approx(np.vdot(g, naive_convolution(x, dw, *params)))


# input, size, stride, padding, dilation, ceil_mode
POOLS = [
    ((2, 3, 8), (2,), (2,), (0,), (1,), False),
    ((2, 3, 9), (3,), (2,), (1,), (2,), True),
    ((2, 3, 8, 6), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 3, 7, 8), (3, 2), (2, 1), (1, 1), (1, 1), False),
    ((2, 3, 7, 8), (3, 2), (2, 3), (0, 1), (2, 1), True),
    ((1, 2, 5, 5), (3, 3), (1, 1), (1, 1), (1, 1), True),
    ((1, 2, 4, 5, 6), (2, 2, 2), (2, 1, 2), (0, 1, 1), (1, 1, 1), False),
    ((21, 2, 40, 40), (8, 8), (8, 8), (0, 0), (1, 1), False),
]


def naive_pool(x, size, stride, padding, dilation, counts):
    """Maximum pooling by its definition: the first maximum, or the last NaN, that is not padding."""
    values, index = np.zeros((*x.shape[:2], *counts)), np.zeros((*x.shape[:2], *counts), np.int64)
    for place in np.ndindex(*values.shape):
        best = None
        for tap in np.ndindex(*size):
            at = [
                o * s - p + t * d
                for o, s, p, t, d in zip(place[2:], stride, padding, tap, dilation, strict=True)
            ]
            if any(not 0 <= a < n for a, n in zip(at, x.shape[2:], strict=True)):
                continue
            seen = x[(*place[:2], *at)]
            if best is None or seen > best or np.isnan(seen):
                best = values[place] = seen
                index[place] = np.ravel_multi_index(at, x.shape[2:])
    return values, index


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int32"])
@pytest.mark.parametrize("spoil", ["nothing", "ties", "nan", "-inf"])
@pytest.mark.parametrize("case", POOLS)
def test_max_pool(run, case, spoil, dtype):
    if spoil in ("nan", "-inf") and dtype == "int32":
        spoil = "ties"
    shape, *params = case
    x = draw(shape, low=-2 if spoil == "ties" else -100, high=2 if spoil == "ties" else 100)
    x = x.round().astype(KINDS[dtype])
    if spoil == "nan":
        x.reshape(-1)[::7] = np.nan
    if spoil == "-inf":
        x[...] = -np.inf
    values, index = run("max_pool", x, *params)
    expected = naive_pool(x.astype(np.float64), *params[:4], values.shape[2:])
    assert values.dtype == x.dtype and index.dtype == np.int64
    assert np.array_equal(values.astype(np.float64), expected[0], equal_nan=True)
    assert np.array_equal(index, expected[1])


@pytest.mark.parametrize(
    ("size", "stride", "padding", "ceil", "count"),
    [
        (2, 2, 0, True, 4),
        (2, 2, 0, False, 3),
        (3, 2, 1, True, 4),
        (2, 3, 1, True, 3),
        (1, 3, 1, True, 3),
    ],
)
def test_number_of_windows(run, size, stride, padding, ceil, count):
    x = draw((1, 1, 7))
    assert run("max_pool", x, (size,), (stride,), (padding,), (1,), ceil)[0].shape == (1, 1, count)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("case", POOLS[:6])
def test_max_pool_grad(run, case, dtype):
    x = draw(case[0], dtype)
    values, index = run("max_pool", x, *case[1:])
    g = draw(values.shape, dtype, seed=1)
    expected = np.zeros((*x.shape[:2], int(np.prod(x.shape[2:]))))
    for n, c in np.ndindex(*x.shape[:2]):
        np.add.at(expected[n, c], index[n, c].reshape(-1), g[n, c].astype(np.float64).reshape(-1))
    close(run("max_pool_grad", g, index, x.shape), expected.reshape(x.shape), dtype, scale=4)


def test_the_cpu_is_a_backend():
    assert isinstance(cpu, Backend) and cpu.kernels.keys() == Generic.kernels.keys()
    assert cpu.device_count() == 1 and cpu.memory(0).allocated > 0 and "NumPy" in cpu.describe()
    with cpu.on(0):
        cpu.synchronize(0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 2), (3, 2)])
def test_upload_and_download(dtype, shape):
    content = np.arange(int(np.prod(shape))).reshape(shape).astype(KINDS[dtype])
    held = cpu.upload(memoryview(content.tobytes()), shape, dtype, 0)
    assert held.flags.writeable and cpu.dtype_of(held) == dtype and np.array_equal(held, content)
    view = cpu.download(held.T)
    assert view.format == "B" and bytes(view) == content.T.tobytes()


def test_adopt():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.shares_memory(cpu.adopt(x), x) and cpu.strides_of(cpu.adopt(x.T)) == (1, 3)
    records = np.zeros(3, [("a", np.float32), ("b", np.int8)])
    for bad in (x.astype(">f4"), x.astype(np.complex64), np.array(["a"]), records["a"], [1.0], np.float32(1)):
        with pytest.raises(TypeError, match="adopt"):
            cpu.adopt(bad)


@pytest.mark.parametrize("name", sorted(cpu.out_kernels))
def test_kernels_write_into_a_given_array(name):
    boolean = name.startswith("logical") or name in (
        "isnan",
        "isinf",
        "isfinite",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
    )
    integer = name.startswith("bitwise")
    x = np.array([[1, 2], [1, 1]], np.int64 if integer else np.float64)
    arguments = (x, x) if name in BINARY else (x,)
    target = np.zeros((2, 2), np.bool_ if boolean else x.dtype)
    with np.errstate(all="ignore"):
        assert cpu.kernels[name](*arguments, out=target) is target
        assert np.array_equal(target, cpu.kernels[name](*arguments), equal_nan=not integer)


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_specialised_kernels_are_ufuncs_where_no_input_is_scalar(dtype):
    kernel = cpu.specialise("add", cpu.kernels["add"], dtype, False)
    assert kernel is np.add
    division = cpu.specialise("floor_divide", cpu.kernels["floor_divide"], dtype, False)
    assert (division is np.floor_divide) == (dtype == "float32")


SILENT = """
import warnings
import numpy as np
import devtensor
from devtensor_numpy import backend
K, f = backend.kernels, np.float32
x = np.array([-1, 0, 1, np.inf, -np.inf, np.nan, 3e38], f)
for name in "log sqrt reciprocal exp acosh atanh lgamma digamma erfinv sigmoid rsqrt square".split():
    K[name](x)
for name in ("div", "add", "sub", "mul", "pow", "remainder", "fmod", "floor_divide", "hypot"):
    K[name](x, np.zeros((), f))
    K[name](x, x[::-1])
for name in ("sum", "prod", "amax", "amin"):
    K[name](x, (0,), False)
K["cumsum"](x, 0), K["softmax"](x, 0), K["log_softmax"](x, 0)
K["cast"](x, "int32"), K["cast"](x, "float16"), K["full"]((2,), 1e9, "float16")
big = np.full(100000, 1e9, f)
K["cast"](big, "float16"), K["erfinv"](big), K["matmul"](big, big)
h = x.astype(np.float64).clip(-1e4, 1e4).astype(np.float16)
for name in ("exp", "log"):
    backend.specialise(name, K[name], "float16")(h)
assert np.geterr() == {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    np.log(x)
assert seen, "the user's own NumPy must still warn"
print("silent")
"""


@pytest.mark.parametrize("arguments", [["-W", "error"], ["-W", "always"], []])
def test_kernels_never_warn(arguments):
    command = [sys.executable, *arguments, "-c", SILENT]
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ | paths)
    assert (done.stdout.strip(), done.stderr) == ("silent", "")


def test_kernels_run_again_where_the_user_traps_floating_point_events():
    x = np.array([0.0, -1.0])
    with np.errstate(all="raise"):
        with pytest.raises(FloatingPointError):
            cpu.kernels["log"](x)
        result = cpu.rerun(cpu.kernels["log"], (x,))
        assert np.geterr()["divide"] == "raise"
    assert result[0] == -np.inf and np.isnan(result[1])
