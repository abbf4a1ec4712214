"""`x[...]` and `x[...] = v` in all their forms, against NumPy where the two agree, else against spelt-out
results."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import devtensor as torch
from devtensor.autograd import gradcheck, gradgradcheck
from devtensor.core.errors import ArgumentError, ArgumentTypeError, AutogradError, IndexingError, TraceError
from devtensor.graph import capture

MASK = [[True, False, True, False], [False, False, True, True], [True, True, False, False]]

# Indices of a (3, 4) array on which PyTorch and NumPy agree; lists stand for tensors too.
PLAIN = {
    "int": 1,
    "negative": -1,
    "slice": slice(1, 3),
    "step": slice(None, None, 2),
    "column": (slice(None), 1),
    "ellipsis": (Ellipsis, 0),
    "new dim": (None, slice(None), None, 2),
    "nothing": (),
    "empty slice": slice(2, 1),
    "past the end": slice(1, 100),
    "both ints": (2, -3),
}
CHOSEN = {
    "rows": ([0, 2, 0],),
    "negative rows": ([-1, 0],),
    "pairs": ([0, 2], [1, 3]),
    "broadcast": ([[0], [2]], [1, 3]),
    "columns": (slice(None), [3, 0]),
    "none of them": ([],),
    "mask": (MASK,),
    "row mask": ([True, False, True],),
    "column mask": (slice(1, 3), [True, False, True, True]),
    "slice and rows": ([0, 1], slice(1, 3)),
    "ellipsis and columns": (Ellipsis, [1, 1]),
}


def numbers(device: str, *shape: int, dtype: str = "float64"):
    values = np.random.default_rng(len(shape)).normal(size=shape).astype(dtype)
    return torch.tensor(values, device=device), values


def as_arrays(index: tuple) -> tuple:
    return tuple(np.array(i, dtype=int if i == [] else None) if isinstance(i, list) else i for i in index)


def as_tensors(index: tuple, device: str) -> tuple:
    arrays = as_arrays(index)
    return tuple(torch.tensor(i, device=device) if isinstance(i, np.ndarray) else i for i in arrays)


@pytest.mark.parametrize("index", PLAIN.values(), ids=PLAIN)
def test_plain_indices_are_views(device, index):
    x, values = numbers(device, 3, 4)
    part = x[index]
    np.testing.assert_array_equal(part.cpu().numpy(), values[index])
    x.zero_()
    assert part.numel() == 0 or float(part.abs().sum()) == 0


@pytest.mark.parametrize("index", CHOSEN.values(), ids=CHOSEN)
@pytest.mark.parametrize("form", ["tensors", "lists"])
def test_index_tensors_copy(device, index, form):
    x, values = numbers(device, 3, 4)
    expected = values[as_arrays(index)]
    part = x[as_tensors(index, device) if form == "tensors" else index]
    np.testing.assert_array_equal(part.cpu().numpy(), expected)
    x.zero_()
    np.testing.assert_array_equal(part.cpu().numpy(), expected)


def test_ints_are_applied_before_index_tensors():
    """Where NumPy counts an int as an index array, PyTorch has already selected."""
    x, values = numbers("cpu", 2, 3, 4)
    rows = torch.tensor([0, 2, 1])
    np.testing.assert_array_equal(x[0, :, rows].numpy(), values[0][:, [0, 2, 1]])
    np.testing.assert_array_equal(x[torch.tensor([0, 1]), :, 0].numpy(), values[:, :, 0])
    apart = x[torch.tensor([0, 1]), :, torch.tensor([1, 2])]
    np.testing.assert_array_equal(apart.numpy(), np.stack([values[0, :, 1], values[1, :, 2]]))


def test_scalars_of_all_kinds():
    x, values = numbers("cpu", 3, 4)
    for one in (torch.tensor(1), np.int64(1), np.array(1)):
        np.testing.assert_array_equal(x[one].numpy(), values[1])
    np.testing.assert_array_equal(x[torch.tensor(1) :].numpy(), values[1:])
    np.testing.assert_array_equal(x[range(2)].numpy(), values[:2])
    np.testing.assert_array_equal(x[np.array([2, 0])].numpy(), values[[2, 0]])
    assert x[True].shape == (1, 3, 4)
    assert x[False].shape == (0, 3, 4)
    assert x[torch.tensor(True)].shape == (1, 3, 4)


REFUSED = [
    (3, IndexingError, "index 3 is out of bounds for dim(ension)? 0 with size 3"),
    ((0, 0, 0), IndexingError, "too many indices"),
    (slice(None, None, -1), ArgumentError, "step must be greater than zero"),
    (1.5, IndexingError, "only integers, slices"),
    ("a", ArgumentTypeError, "only integers, slices"),
    ([True, False], IndexingError, r"shape of the mask \[2\] at index 0 does not match"),
    ((slice(None), [True, False]), IndexingError, r"tensor \[3, 4\] at index 1"),
    (([0, 1], [0, 1, 2]), IndexingError, "shape mismatch"),
    ((Ellipsis, Ellipsis, 0), IndexingError, "out of bounds"),
    (torch.tensor([0.5]), IndexingError, "tensors used as indices must be long"),
    (torch.tensor([0], dtype=torch.int16), IndexingError, "tensors used as indices must be long"),
    (slice(0.5, None), ArgumentTypeError, "slice indices must be integers"),
    ({0}, IndexingError, "only integers, slices"),
]


@pytest.mark.parametrize(("index", "error", "message"), REFUSED, ids=[r[2] for r in REFUSED])
def test_bad_indices(device, index, error, message):
    x, values = numbers(device, 3, 4)
    with pytest.raises(error, match=message):
        x[index]
    with pytest.raises(error, match=message):
        x[index] = 0
    np.testing.assert_array_equal(x.cpu().numpy(), values)


def test_an_index_out_of_range_is_refused_unless_looking_would_wait(device):
    x, values = numbers(device, 3, 4)
    if torch.device(device).type == "cuda":
        # What it gives is nobody's promise.
        assert x[[5]].shape == (1, 4)
        return
    with pytest.raises(IndexingError, match=r"out of (range|bounds)"):
        x[[5]]
    with pytest.raises(IndexingError, match=r"out of (range|bounds)"):
        x[[5]] = 0
    np.testing.assert_array_equal(x.cpu().numpy(), values)


# Where an index names a place twice, which value stays is nobody's promise.
ONCE = PLAIN | {name: index for name, index in CHOSEN.items() if name not in ("rows", "ellipsis and columns")}


@pytest.mark.parametrize("index", [*PLAIN.values(), *CHOSEN.values()], ids=[*PLAIN, *CHOSEN])
def test_assignment_of_a_number(device, index):
    x, values = numbers(device, 3, 4)
    x[index] = 7
    values[as_arrays(index) if isinstance(index, tuple) else index] = 7
    np.testing.assert_array_equal(x.cpu().numpy(), values)


@pytest.mark.parametrize("index", ONCE.values(), ids=ONCE)
@pytest.mark.parametrize("stretched", [False, True])
def test_assignment_of_a_tensor(device, index, stretched):
    x, values = numbers(device, 3, 4)
    place = as_arrays(index) if isinstance(index, tuple) else index
    shape = values[place].shape
    source, given = numbers(device, *(shape[-1:] if stretched else shape))
    x[index], values[place] = source, given
    np.testing.assert_array_equal(x.cpu().numpy(), values)


def test_assignment_converts_and_drops_leading_ones():
    x = torch.zeros(3, 4, dtype=torch.int64)
    x[0] = torch.full((1, 4), 2.9)
    x[1, 1:3] = torch.tensor(5.0)
    assert x.tolist() == [[2, 2, 2, 2], [0, 5, 5, 0], [0, 0, 0, 0]]
    with pytest.raises(ArgumentTypeError, match="can't assign a list"):
        x[0] = [1, 2, 3, 4]


def test_assignment_into_a_view_of_a_view():
    x = torch.zeros(2, 3, 4)
    x[:, 1][:, 2:] = 5
    assert x.sum() == 20
    assert x[1, 1].tolist() == [0, 0, 5, 5]


def test_a_leaf_is_protected():
    x = torch.zeros(3, requires_grad=True)
    for index in (0, [0, 1], torch.tensor([True, False, True])):
        with pytest.raises(AutogradError, match="leaf"):
            x[index] = 1.0
    with torch.no_grad():
        x[0] = 1.0
    assert x.tolist() == [1, 0, 0]


@pytest.mark.parametrize("index", [*PLAIN.values(), *CHOSEN.values()], ids=[*PLAIN, *CHOSEN])
def test_gradients_of_reading(index):
    x, _ = numbers("cpu", 3, 4)
    x.requires_grad_()
    assert gradcheck(lambda x: x[index] * 2, (x,))
    assert gradgradcheck(lambda x: x[index] ** 2, (x,))


@pytest.mark.parametrize("index", [0, (slice(None), 1), ([0, 2],), (MASK,), ([0, 1], [2, 3])])
def test_gradients_of_writing(index):
    x, values = numbers("cpu", 3, 4)
    v, _ = numbers("cpu", *values[as_arrays(index) if isinstance(index, tuple) else index].shape)

    def write(x, v):
        y = x * 1
        y[index] = v * v
        return y * y

    x.requires_grad_()
    v.requires_grad_()
    assert gradcheck(write, (x, v))
    assert gradgradcheck(write, (x, v))


def test_gradient_of_a_filled_mask():
    x = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    y = x * 1
    y[y > 0] = 0.0
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 0]


STEPS = {
    "rows": lambda state, rows, mask: state.__setitem__(rows, state[rows] * 2),
    "row": lambda state, rows, mask: state[0].add_(1),
    "mask": lambda state, rows, mask: state.__setitem__(mask, -1.0),
    "rows and a slice": lambda state, rows, mask: state.__setitem__((rows, slice(1, 3)), 5.0),
    "sums at rows": lambda state, rows, mask: state.index_add_(0, rows, state[:2].clone()),
}


@pytest.mark.parametrize("name", STEPS)
def test_indexing_is_captured(name):
    def run(wrapper):
        state, rows = torch.arange(12.0).reshape(3, 4), torch.tensor([0, 2])
        mask = state % 5 > 2
        step = wrapper(lambda: STEPS[name](state, rows, mask))
        for _ in range(5):
            step()
        return state.tolist()

    assert run(capture) == run(lambda function: function)


def test_a_mask_whose_size_is_unknown_is_not_captured():
    state = torch.arange(4.0)
    step = capture(lambda: state.copy_(state[state > 1].sum()))
    with pytest.raises(TraceError, match="nonzero"):
        for _ in range(5):
            step()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_basic_index_is_numpys(data):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    entries = index if isinstance(index, tuple) else (index,)
    if any(isinstance(e, slice) and e.step is not None and e.step < 1 for e in entries):
        return
    values = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)
    np.testing.assert_array_equal(torch.tensor(values)[index].numpy(), values[index])


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_index_arrays_are_numpys(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
    index = data.draw(hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=3)))
    values = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)
    ours = tuple(torch.tensor(i) for i in index)
    np.testing.assert_array_equal(torch.tensor(values)[ours].numpy(), values[index])
