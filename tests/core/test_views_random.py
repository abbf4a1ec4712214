"""Chains of views and writes drawn at random, against NumPy doing the same."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import devtensor
from devtensor.autograd.engine import grad
from devtensor.core.spec import view_strides
from devtensor.core.tensor import Tensor, storage_of, strides_of
from devtensor.testing import to_numpy

often = settings(max_examples=150, deadline=None, derandomize=True, database=None)
SHAPE = (2, 3, 4)


def split(draw: Any, count: int) -> tuple[int, ...]:
    """Sizes whose product is `count`."""
    sizes = []
    while count > 1 and len(sizes) < 3:
        size = draw(st.sampled_from([d for d in range(1, count + 1) if count % d == 0]))
        sizes.append(size)
        count //= size
    return (*sizes, count)


def draw_slice(draw: Any, size: int) -> Any:
    """An int or a slice with a positive step that fits the size."""
    if size and draw(st.booleans()):
        return draw(st.integers(-size, size - 1))
    return slice(draw(st.integers(0, size)), draw(st.integers(0, size)), draw(st.integers(1, 3)))


@st.composite
def steps(draw: Any, shape: tuple[int, ...], most: int = 3) -> list[tuple[str, Any]]:
    """View steps that fit one another, as (name, argument) pairs; reshape only where NumPy needs no copy."""
    array, found = np.zeros(shape), []
    for _ in range(draw(st.integers(0, most))):
        name = draw(st.sampled_from(["index", "permute", "reshape", "diagonal"]))
        if name == "index":
            count = draw(st.integers(0, array.ndim))
            argument: Any = tuple(draw_slice(draw, size) for size in array.shape[:count])
        elif name == "permute":
            argument = tuple(draw(st.permutations(range(array.ndim))))
        elif name == "reshape":
            argument = split(draw, array.size)
            if not np.shares_memory(np.reshape(array, argument), array) or not array.size:
                continue
        elif array.ndim < 2:
            continue
        else:
            argument = draw(st.integers(-1, 1))
        found.append((name, argument))
        array = follow(array, found[-1:])
    return found


def follow(x: Any, chain: list[tuple[str, Any]]) -> Any:
    """The view that a chain reaches, of an array or a tensor."""
    for name, argument in chain:
        if name == "index":
            # Behind an Ellipsis NumPy gives a view of one element too, and no number.
            x = x[(*argument, ...)] if isinstance(x, np.ndarray) else x[argument]
        elif name == "permute":
            x = np.transpose(x, argument) if isinstance(x, np.ndarray) else x.permute(argument)
        elif name == "reshape":
            x = x.reshape(argument) if isinstance(x, np.ndarray) else x.view(argument)
        else:
            x = np.diagonal(x, argument) if isinstance(x, np.ndarray) else x.diagonal(argument)
    return x


def writable(x: np.ndarray) -> np.ndarray:
    """NumPy's diagonal is read-only unless one says otherwise."""
    x.flags.writeable = True
    return x


programs = st.lists(st.tuples(steps(SHAPE), st.sampled_from(["mul", "add", "copy"])), min_size=1, max_size=4)


@often
@given(chain=steps(SHAPE, most=5))
def test_a_chain_of_views_sees_what_numpys_sees(chain):
    array = np.arange(24.0).reshape(SHAPE)
    base = devtensor.tensor(array)
    wanted, view = follow(array, chain), follow(base, chain)
    assert tuple(view.shape) == wanted.shape and storage_of(view) is storage_of(base)
    assert np.array_equal(to_numpy(view), wanted)
    telling = [n > 1 for n in wanted.shape]
    strides = [s // 8 for s, counts in zip(wanted.strides, telling, strict=True) if counts]
    if wanted.size:
        assert [s for s, counts in zip(strides_of(view), telling, strict=True) if counts] == strides


@often
@given(program=programs)
def test_writes_through_chains_reach_what_numpys_reach(program):
    array = np.arange(24.0).reshape(SHAPE)
    base = devtensor.tensor(array)
    early = [follow(base, chain) for chain, _ in program]
    for number, (chain, op) in enumerate(program):
        target, view = writable(follow(array, chain)), early[number]
        target[...] = {"mul": target * 2, "add": target + 5, "copy": number}[op]
        getattr(view, f"{op}_")({"mul": 2.0, "add": 5.0, "copy": float(number)}[op])
    assert np.array_equal(to_numpy(base), array)
    for view, (chain, _) in zip(early, program, strict=True):
        assert np.array_equal(to_numpy(view), follow(array, chain))
    assert base._version == len(program) and all(view._version == len(program) for view in early)


def run(program: list, x: Tensor, y: Tensor) -> Tensor:
    """The program's writes on x * y; every view was taken before the first write, and adds to the result."""
    base = x * y
    views = [follow(base, chain) for chain, _ in program]
    for number, (view, (_, op)) in enumerate(zip(views, program, strict=True)):
        factor = follow(y, program[number][0])
        getattr(view, f"{op}_")(factor.sin() if op != "copy" else factor * factor)
    return (base * base).sum() + sum((view * (k + 1.0)).sum() for k, view in enumerate(views))


@often
@given(program=programs, seed=st.integers(0, 9))
def test_derivatives_of_writes_through_chains(program, seed):
    rng = np.random.default_rng(seed)
    points = [rng.uniform(0.5, 1.5, SHAPE) for _ in range(2)]
    lines = [rng.normal(size=SHAPE) for _ in range(2)]

    def at(step: float) -> tuple[list[Tensor], Tensor]:
        moved = [p + step * v for p, v in zip(points, lines, strict=True)]
        leaves = [devtensor.tensor(p, requires_grad=True) for p in moved]
        return leaves, run(program, *leaves)

    leaves, out = at(0.0)
    found = grad(out, leaves, materialize_grads=True)
    along = sum(float((to_numpy(g) * v).sum()) for g, v in zip(found, lines, strict=True))
    numeric = (at(1e-5)[1].item() - at(-1e-5)[1].item()) / 2e-5
    assert abs(along - numeric) <= 1e-5 * max(1.0, abs(numeric), abs(out.item()))


@st.composite
def laid_out(draw: Any) -> np.ndarray:
    """An array seen through slices and a permutation."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=0, max_size=4))
    array = np.zeros([2 * size for size in sizes], np.int8)
    cut = tuple(slice(0, size) if draw(st.booleans()) else slice(0, 2 * size, 2) for size in sizes)
    return np.transpose(array[(*cut, ...)], draw(st.permutations(range(len(sizes)))))


@often
@given(data=st.data(), array=laid_out())
def test_a_view_in_another_shape_exists_when_numpy_finds_one(data, array):
    target = split(data.draw, prod(array.shape))
    found = view_strides(array.shape, array.strides, target)
    reshaped = np.reshape(array, target)
    if not np.shares_memory(reshaped, array):
        assert found is None
    else:
        assert found is not None
        assert [s for s, n in zip(found, target, strict=True) if n > 1] == [
            s for s, n in zip(reshaped.strides, target, strict=True) if n > 1
        ]
