"""The drawing itself: ranges, layouts, seeds, and that no example goes undrawn."""

from __future__ import annotations

import numpy as np
import pytest

from devtensor.core.dtype import DTYPES
from devtensor.core.op import OPS
from devtensor.core.tensor import strides_of
from devtensor.ops.examples import Draw, case, index, make
from devtensor.testing.cases import (
    cases_of,
    draw_numbers,
    dtypes_of,
    numpy_dtype,
    sample,
    samples_of,
    to_numpy,
    to_tensor,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def parts(array: np.ndarray) -> list[np.ndarray]:
    """Real and imaginary parts as float64."""
    both = [array.real, array.imag] if array.dtype.kind == "c" else [array]
    return [part.astype(float) for part in both]


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_lie_in_their_range(dtype, rng):
    drawn = draw_numbers(make(50, low=-3, high=5), dtype, rng)
    assert drawn.dtype == numpy_dtype(dtype) and drawn.shape == (50,)
    low = 0 if dtype.startswith(("uint", "bool")) else -3
    for part in parts(drawn):
        assert low <= part.min() and part.max() <= 5
    assert len(set(drawn.tolist())) > 1


@pytest.mark.parametrize("dtype", ["int8", "int64", "float16", "bfloat16", "float32", "float64"])
def test_distinct_numbers_have_no_ties_and_no_opposites(dtype, rng):
    drawn = draw_numbers(make(2, 3, 4, distinct=True), dtype, rng).astype(float)
    assert len(set(drawn.reshape(-1).tolist())) == 24
    if "float" in dtype:
        assert len(set(np.abs(drawn).reshape(-1).tolist())) == 24


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_keep_apart_from_zero(dtype, rng):
    for part in parts(draw_numbers(make(200, apart=0.3), dtype, rng)):
        # float8 rounds by up to a sixteenth.
        assert np.abs(part).min() >= (0.28 if "float8" in dtype else 0.299) and np.abs(part).max() <= 2


def test_indices_and_masks_have_their_own_dtype(rng):
    drawn = draw_numbers(index(100, size=4), "float32", rng)
    assert drawn.dtype == np.int64 and set(drawn.tolist()) == {0, 1, 2, 3}
    assert draw_numbers(Draw((9,), dtype="bool"), "float32", rng).dtype == bool


LAYOUTS = {"contiguous": (4, 1), "transposed": (1, 3), "sliced": (18, 2), "expanded": (0, 1)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_lie_as_they_say_and_keep_the_numbers(layout, device, rng):
    drawn = draw_numbers(make(3, 4, layout=layout), "float32", rng)
    made = to_tensor(drawn, device, layout)
    assert strides_of(made) == LAYOUTS[layout]
    assert np.array_equal(to_numpy(made), drawn)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,)])
def test_layouts_of_small_shapes(layout, shape, rng):
    drawn = draw_numbers(make(*shape, layout=layout), "float64", rng)
    assert np.array_equal(to_numpy(to_tensor(drawn, "cpu", layout)), drawn)


def test_one_seed_gives_the_same_numbers_on_every_device(device):
    op = OPS["matmul"]
    for example in cases_of(op):
        here, there = (
            sample(op, example, "float32", "cpu", seed=3),
            sample(op, example, "float32", device, seed=3),
        )
        for a, b in zip(here.inputs, there.inputs, strict=True):
            assert np.array_equal(to_numpy(a), to_numpy(b)) and str(b.device).startswith(device)
    first, second = (sample(op, cases_of(op)[0], seed=s).arrays[0] for s in (1, 2))
    assert not np.array_equal(first, second)


def test_every_working_example_is_drawn_somewhere(op):
    for example in cases_of(op):
        assert dtypes_of(op, example), f"{op.name}: no dtype fits {example}"


def test_the_dtypes_are_those_the_rule_accepts():
    assert dtypes_of(OPS["bitwise_and"], case(make(2), make(2))) == [
        *list(DTYPES)[:6],
        "uint16",
        "uint32",
        "uint64",
    ]
    floating = ["float16", "bfloat16", "float32", "float64"]
    assert dtypes_of(OPS["mean"], case(make(2))) == [*floating, "complex64", "complex128"]
    assert "complex64" not in dtypes_of(OPS["erf"], case(make(2)))
    assert dtypes_of(OPS["copy"], case(make(2))) == list(DTYPES)


def test_an_op_has_examples_without_dimensions_and_without_elements(op):
    """Where the shape rule allows both, both are tried."""
    shapes = [d.shape for drawn in samples_of(op) for d in drawn.case.inputs if isinstance(d, Draw)]
    if op.shape_rule.__name__ == "broadcast":
        assert () in shapes and any(0 in shape for shape in shapes), f"{op.name}: {sorted(set(shapes))}"
        layouts = {d.layout for drawn in samples_of(op) for d in drawn.case.inputs if isinstance(d, Draw)}
        assert layouts - {"contiguous"}, f"{op.name}: every example is contiguous"
