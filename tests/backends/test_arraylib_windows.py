"""Matrix products, convolution and pooling on every backend, against their definitions."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from kernel_runs import FLOATS, KINDS, close, draw

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
