"""Elementwise kernels and reductions on every backend, against NumPy and SciPy in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import special

from devtensor.backend.arraylib.elementwise import BINARY, DIVISIONS, ROUNDINGS
from devtensor.backend.protocol import DTYPES
from kernel_runs import FLOATS, INTEGERS, KINDS, LIBRARIES, close, draw, first, layouts
from oracles import ORACLES

NAMES = (
    "neg abs sign square exp exp2 expm1 log log1p log2 log10 sqrt rsqrt reciprocal sin cos tan asin acos "
    "atan sinh cosh tanh asinh acosh atanh erf erfc erfinv sigmoid lgamma digamma floor ceil round trunc"
)
UNARY = {name: ORACLES[name] for name in NAMES.split()}


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
    x = draw((400, 401), "float32", 0.01, 0.99)
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
        if name.startswith("bitwise") or name == "gcd":
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
        reference = getattr(np, (BINARY | DIVISIONS | {"pow": "power"})[name])
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
    assert result.dtype == x.dtype and (result == np.array([[1], [0]])).all() and result.shape == (2, 3)
    assert run("where", np.array(True), first(x), first(y)).shape == ()


@pytest.mark.parametrize("dtype", DTYPES)
def test_full_and_arange(run, dtype):
    for shape in [(), (0, 2), (2, 3)]:
        result = run("full", shape, 1, dtype)
        assert result.shape == shape and result.dtype == KINDS[dtype] and (result == 1).all()
    if dtype != "bool":
        assert (run("arange", 3, 2, 4, dtype) == np.array([3, 5, 7, 9]).astype(KINDS[dtype])).all()
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
        real = x.real if target not in ("complex64", "complex128", "bool") else x
        assert np.array_equal(result, real.astype(KINDS[target]))
        assert not np.may_share_memory(result, x) or not x.size


def test_cast_truncates_and_asks_whether_not_zero(run):
    x = np.array([2.9, -2.9, 0.0, 0.4, np.nan])
    assert run("cast", x[:4], "int32").tolist() == [2, -2, 0, 0]
    assert run("cast", x, "bool").tolist() == [True, True, False, True, True]


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


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_accumulate_in_float32_without_a_specialised_kernel(dtype):
    kernels = LIBRARIES["generic"].kernels
    ones = np.ones(4096, KINDS[dtype])
    results = [
        kernels["sum"](ones, (0,), False),
        kernels["cumsum"](ones, 0)[-1:].reshape(()),
        kernels["matmul"](ones, ones),
    ]
    assert [(x.dtype, float(x)) for x in results] == [(KINDS[dtype], 4096.0)] * 3
