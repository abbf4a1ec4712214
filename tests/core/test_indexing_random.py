"""Random index expressions: values, assignments and gradients against NumPy.

PyTorch differs from NumPy in one thing here: ints, slices and None are applied first, and only then the index
tensors and masks. So NumPy is asked in two steps.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import devtensor as torch

EVERYTHING = slice(None)


def arrays(size: int, shape: tuple[int, ...]) -> Any:
    """Index arrays of one shape for a dim of this size; negative ones count from the end."""
    count = int(np.prod(shape))
    numbers = st.lists(st.integers(-size, size - 1), min_size=count, max_size=count)
    kinds = st.sampled_from(["int64", "int32"])
    return st.builds(lambda n, kind: np.array(n, kind).reshape(shape), numbers, kinds)


def masks(shape: tuple[int, ...]) -> Any:
    count = int(np.prod(shape))
    truths = st.lists(st.booleans(), min_size=count, max_size=count)
    return truths.map(lambda t: np.array(t, bool).reshape(shape))


@st.composite
def expressions(draw: Any) -> tuple[tuple[int, ...], list]:
    """A shape and the entries of an index into it, arrays and masks among them as NumPy arrays."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    common = draw(st.sampled_from([(1,), (2,), (3,), (2, 2)]))
    entries: list[Any] = []
    dim, masked = 0, False
    while dim < len(shape) and draw(st.integers(0, 5)):
        kind = draw(st.sampled_from(["int", "slice", "none", "array", "array", "mask"]))
        size = shape[dim]
        if kind == "none":
            entries.append(None)
            continue
        if kind == "mask" and not masked:
            rank = draw(st.integers(1, min(2, len(shape) - dim)))
            entries.append(draw(masks(shape[dim : dim + rank])))
            masked, dim = True, dim + rank
            continue
        if kind == "int":
            entries.append(draw(st.integers(-size, size - 1)))
        elif kind == "array" and not masked:
            entries.append(draw(arrays(size, common)))
        else:
            start, stop = draw(st.integers(-5, 5)), draw(st.one_of(st.none(), st.integers(-5, 5)))
            entries.append(slice(start, stop, draw(st.sampled_from([None, 1, 2]))))
        dim += 1
    if any(isinstance(e, np.ndarray) and e.dtype == bool for e in entries):
        # A mask's count of places would have to fit the arrays' shape.
        entries = [EVERYTHING if isinstance(e, np.ndarray) and e.dtype != bool else e for e in entries]
    return shape, entries


def two_steps(entries: list) -> tuple[tuple, tuple]:
    """The index that NumPy applies first, and the one for its result."""
    basic: list[Any] = []
    chosen: list[Any] = []
    for entry in entries:
        if isinstance(entry, np.ndarray):
            basic += [EVERYTHING] * (entry.ndim if entry.dtype == bool else 1)
            chosen.append(entry)
        else:
            basic.append(entry)
            if not isinstance(entry, int):
                chosen.append(EVERYTHING)
    return tuple(basic), tuple(chosen) if any(isinstance(c, np.ndarray) for c in chosen) else ()


def as_tensors(entries: list) -> tuple:
    return tuple(torch.tensor(e) if isinstance(e, np.ndarray) else e for e in entries)


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)


@settings(deadline=None, max_examples=150)
@given(expressions())
def test_reading(expression):
    shape, entries = expression
    basic, chosen = two_steps(entries)
    values = numbered(shape)
    wanted = values[basic][chosen] if chosen else values[basic]
    x = torch.tensor(values, requires_grad=True)
    part = x[as_tensors(entries)]
    np.testing.assert_array_equal(part.detach().numpy(), wanted)
    (part * part).sum().backward()
    counts = np.bincount(wanted.astype(int).reshape(-1), minlength=values.size).reshape(shape)
    np.testing.assert_array_equal(x.grad.numpy(), 2 * values * counts)


@settings(deadline=None, max_examples=150)
@given(expressions(), st.data())
def test_writing(expression, data):
    shape, entries = expression
    basic, chosen = two_steps(entries)
    values = numbered(shape)
    places = values[basic][chosen] if chosen else values[basic]
    if len(set(places.reshape(-1).tolist())) < places.size:
        return  # Which of several values stays is nobody's promise.
    stretched = tuple(1 if data.draw(st.booleans()) else size for size in places.shape)
    given_values = -1.0 - numbered(stretched)
    wanted = values.reshape(-1).copy()
    wanted[places.astype(int).reshape(-1)] = np.broadcast_to(given_values, places.shape).reshape(-1)

    x, v = torch.tensor(values, requires_grad=True), torch.tensor(given_values, requires_grad=True)
    y = x * 1
    y[as_tensors(entries)] = v
    np.testing.assert_array_equal(y.detach().numpy().reshape(-1), wanted)
    weights = torch.tensor(numbered(shape) + 1)
    (y * weights).sum().backward()
    untouched = np.ones(values.size)
    untouched[places.astype(int).reshape(-1)] = 0
    np.testing.assert_array_equal(x.grad.numpy().reshape(-1), untouched * (values.reshape(-1) + 1))
    shares = places + 1
    axes = tuple(d for d, (a, b) in enumerate(zip(stretched, places.shape, strict=True)) if a == 1 and b != 1)
    np.testing.assert_array_equal(v.grad.numpy(), shares.sum(axes, keepdims=True))


@settings(deadline=None, max_examples=100)
@given(expressions())
def test_adding_where_places_repeat(expression):
    shape, entries = expression
    indices = [entry for entry in entries if isinstance(entry, np.ndarray)]
    if not indices or any(index.dtype == bool for index in indices) or len(indices) > len(shape):
        return
    values = numbered(shape)
    rows = tuple(index % shape[d] for d, index in enumerate(indices))
    brought = 1.0 + numbered(values[rows].shape)
    wanted = values.copy()
    np.add.at(wanted, rows, brought)
    x = torch.tensor(values)
    x.index_put_(tuple(torch.tensor(row) for row in rows), torch.tensor(brought), accumulate=True)
    np.testing.assert_array_equal(x.numpy(), wanted)


@settings(deadline=None, max_examples=60)
@given(expressions())
def test_lists_mean_what_tensors_mean(expression):
    shape, entries = expression
    lists = tuple(e.tolist() if isinstance(e, np.ndarray) else e for e in entries)
    if any(isinstance(e, np.ndarray) and e.dtype == bool and e.ndim > 1 for e in entries):
        return  # PyTorch counts a nested list of truths as one dim.
    x = torch.tensor(numbered(shape))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        np.testing.assert_array_equal(x[lists].numpy(), x[as_tensors(entries)].numpy())
