"""Views, moves and index kernels on every backend, against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kernel_runs import FLOATS, KINDS, LIBRARIES, close, draw, first

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
            copies = name == "reshape"
            kernel = LIBRARIES["generic"].kernels[name]
            positions = positions.reshape(*params) if copies else kernel(positions, *params)
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
        with pytest.raises((IndexError, ValueError), match="out of"):
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
