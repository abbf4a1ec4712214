"""Arithmetic on half types in machine code: what float32 gives, rounded once, in every form of inputs."""

from __future__ import annotations

import ctypes
import itertools

import numpy as np
import pytest

from devtensor_numpy import half_blocks, half_loops
from devtensor_numpy.compile import loops as compiling
from devtensor_numpy.compile.casts import casts
from devtensor_numpy.compile.loops import ARITHMETIC, COMPARING, Loops
from devtensor_numpy.half_loops import LOOPED, HalfLoop
from half_runs import HALF_TYPES, every, need_machine_code
from kernel_runs import cpu

INPUTS = dict.fromkeys((*ARITHMETIC, *COMPARING), 2) | {
    "square": 1, "sqrt": 1, "reciprocal": 1, "add_scaled": 3, "sub_scaled": 3, "lerp": 3, "addcmul": 4,
    "addcdiv": 4,
}  # fmt: skip
FORMULAS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "square": np.square,
    "sqrt": np.sqrt,
    "reciprocal": np.reciprocal,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "add_scaled": lambda x, y, s: x + y * s,
    "sub_scaled": lambda x, y, s: x - y * s,
    "lerp": lambda x, y, w: np.where(np.abs(w) < 0.5, x + (y - x) * w, y - (y - x) * (1 - w)),
    "addcmul": lambda x, y, z, s: x + (y * s) * z,
    "addcdiv": lambda x, y, z, s: x + (y * s) / z,
}
"""The same in NumPy, on float32."""
NUMBERS = -1.7, 0.3, 2.5, -0.25
rng = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def fast():
    need_machine_code()


def forms(name):
    """All ways in which the inputs of an op come, at least one of them a line."""
    return ["".join(form) for form in itertools.product("ln", repeat=INPUTS[name]) if "l" in form]


def drawn(half, place):
    """All numbers of a half type in an order of their own, so that each kind meets each other kind."""
    return np.random.default_rng(place).permutation(every(half))


def alike(found, expected):
    """Bit for bit, NaN for NaN."""
    assert found.dtype == expected.dtype and found.shape == expected.shape
    if found.dtype == np.bool_:
        assert np.array_equal(found, expected)
        return
    numbers = ~np.isnan(expected.astype(np.float32))
    assert np.array_equal(numbers, ~np.isnan(found.astype(np.float32)))
    one, other = (part.view(np.uint16)[numbers] for part in (found, expected))
    # Of two zeros either may be the larger.
    different = (one != other) & ((one | other) & 0x7FFF != 0)
    assert not different.any(), (found[numbers][different], expected[numbers][different])


@pytest.mark.parametrize("dtype", HALF_TYPES)
@pytest.mark.parametrize("name", sorted(LOOPED))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_all_numbers_in_every_form(name, dtype):
    half = HALF_TYPES[dtype]
    for form in forms(name):
        given = [
            drawn(half, place) if how == "l" else np.array(NUMBERS[place], np.float32)
            for place, how in enumerate(form)
        ]
        wanted = FORMULAS[name](*[x.astype(np.float32) for x in given])
        found = HalfLoop(name, half)(given)
        assert found is not None, form
        alike(found, wanted if wanted.dtype == np.bool_ else wanted.astype(half))


@pytest.mark.parametrize("dtype", HALF_TYPES)
@pytest.mark.parametrize("count", [257, 258, 271, 272, 1000])
def test_nothing_is_written_beside_the_result(dtype, count):
    half = HALF_TYPES[dtype]
    x = rng.normal(size=count).astype(half)
    room = np.full(count + 2, 7, half)
    found = HalfLoop("add", half)((x, x), room[1:-1])
    assert found.base is room and np.array_equal(found, x + x) and room[0] == room[-1] == 7


@pytest.mark.parametrize("dtype", HALF_TYPES)
@pytest.mark.parametrize("name", ["add", "mul", "div", "lerp", "addcmul"])
def test_a_result_may_take_the_place_of_an_input(name, dtype):
    half = HALF_TYPES[dtype]
    for target in range(INPUTS[name] - (name == "addcmul")):
        given = [rng.uniform(0.5, 2, 1001).astype(half) for _ in range(INPUTS[name])]
        if name == "addcmul":
            given[3] = np.array(0.3, np.float32)
        wanted = HalfLoop(name, half)(given).copy()
        assert HalfLoop(name, half)(given, given[target]) is given[target]
        alike(given[target], wanted)


def test_what_has_no_loop_is_left_to_others():
    half = HALF_TYPES["float16"]
    x, y = (rng.normal(size=(30, 40)).astype(half) for _ in range(2))
    loop = HalfLoop("add", half)
    assert loop((x, y)) is not None
    for others in ((x, y.T.copy().T), (x, y[:1]), (x, y.astype(np.float32)), (x[:, ::2], y[:, ::2])):
        assert loop(others) is None
    assert loop((x[:2, :4].copy(), y[:2, :4].copy())) is None, "few elements"
    zero = np.zeros((), half)
    assert loop((zero, zero)) is None


@pytest.mark.parametrize("dtype", HALF_TYPES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_kernels_take_their_loops(dtype, monkeypatch):
    """A kernel of each kind, in rows, turned and with a number, by the loop and without machine code."""
    half, asked = HALF_TYPES[dtype], []
    function = half_loops.loops.function
    monkeypatch.setattr(half_loops.loops, "function", lambda *key: asked.append(key) or function(*key))
    monkeypatch.setattr(half_blocks, "BLOCK", 100)
    x, y = (rng.normal(size=(30, 40)).astype(half) for _ in range(2))
    number = np.array(0.7, half)
    for name in ("add", "mul", "div", "maximum", "lt", "sqrt"):
        kernel = cpu.specialise(name, cpu.kernels[name], dtype, False)
        calls = [(x,), (x.T,)] if name == "sqrt" else [(x, y), (x.T, y.T), (x, number), (number, y)]
        for arguments in calls:
            asked.clear()
            found = kernel(*arguments)
            assert asked and asked[0][0] == name
            with casts.off():
                alike(np.ascontiguousarray(found), np.ascontiguousarray(kernel(*arguments)))


def test_a_loop_that_cannot_be_made_is_done_without(monkeypatch, tmp_path):
    monkeypatch.setattr(compiling, "ARITHMETIC", ARITHMETIC | {"add": "%y = what is this"})
    monkeypatch.setenv("DEVTENSOR_OBJECT_CACHE", str(tmp_path))
    fresh = Loops()
    assert fresh.function("add", "float16", "ll") is None
    assert fresh.function("mul", "float16", "ll") is not None
    with casts.off():
        assert fresh.function("mul", "float16", "ll") is None


def test_the_loops_are_the_same_on_any_processor():
    """Text for a processor without any extension, run on this one."""
    x = every(HALF_TYPES["float16"])
    text = compiling.text("add", "float16", "ln", "")
    assert "fpext" not in text
    type = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_float, ctypes.c_void_p, ctypes.c_int64)
    run = compiling.Code("plain", text).functions({"run": type})["run"]
    out = np.empty_like(x)
    run(x.ctypes.data, 0.3, out.ctypes.data, x.size)
    with np.errstate(all="ignore"):
        alike(out, (x.astype(np.float32) + np.float32(0.3)).astype(np.float16))
