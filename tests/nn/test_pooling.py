"""Pooling in its rarer forms: adaptive maxima, powers, windows drawn at random, and pooling undone."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor
import devtensor.nn.functional as F
from devtensor import nn
from devtensor.autograd import gradcheck, gradgradcheck
from devtensor.core.errors import ArgumentError, DTypeError, ShapeError

RNG = np.random.default_rng(0)
IMAGE = RNG.permutation(2 * 3 * 6 * 5).reshape(2, 3, 6, 5).astype(np.float64)


def tensor(array):
    return devtensor.tensor(np.asarray(array))


def numbers(value) -> np.ndarray:
    return np.array(value.detach().tolist()).reshape(tuple(value.shape))


def test_lp_pool_is_the_norm_of_each_window():
    windows = np.abs(IMAGE[:, :, :, :4]).reshape(2, 3, 3, 2, 2, 2)
    wanted = (windows**3).sum((3, 5)) ** (1 / 3)
    np.testing.assert_allclose(numbers(F.lp_pool2d(tensor(IMAGE), 3, 2)), wanted, 1e-10)
    np.testing.assert_allclose(numbers(nn.LPPool2d(3, 2)(tensor(IMAGE))), wanted, 1e-10)


def test_adaptive_maxima_name_their_places():
    values, places = F.adaptive_max_pool2d(tensor(IMAGE), (4, 3), return_indices=True)
    flat = IMAGE.reshape(2, 3, 30)
    np.testing.assert_array_equal(
        np.take_along_axis(flat, numbers(places).reshape(2, 3, 12), 2).reshape(2, 3, 4, 3), numbers(values)
    )
    assert numbers(values)[0, 0, 3, 2] == IMAGE[0, 0, 4:, 3:].max()
    one = F.adaptive_max_pool1d(tensor(IMAGE[0, 0]), None)
    np.testing.assert_array_equal(numbers(one), IMAGE[0, 0])


def test_unpooling_puts_maxima_back():
    values, places = F.max_pool2d(tensor(IMAGE), 2, return_indices=True)
    back = numbers(F.max_unpool2d(values, places, 2, output_size=(6, 5)))
    kept = back != 0
    np.testing.assert_array_equal(back[kept], IMAGE[kept])
    assert kept.sum() in (35, 36) and back.shape == IMAGE.shape
    layer = nn.MaxUnpool1d(2, stride=2)
    line = layer(devtensor.tensor([[5.0, 7.0]]), devtensor.tensor([[1, 2]]))
    assert line.tolist() == [[0, 5, 7, 0]] and repr(layer) == (
        "MaxUnpool1d(kernel_size=(2,), stride=(2,), padding=(0,))"
    )


def test_fractional_windows_are_those_drawn():
    samples = tensor(np.full((2, 3, 2), 0.4))
    values, places = F.fractional_max_pool2d(
        tensor(IMAGE), 2, output_size=(3, 3), return_indices=True, _random_samples=samples
    )
    rows = [int((i + 0.4) * 2.0) - int(0.4 * 2.0) for i in range(2)] + [4]
    columns = [int((i + 0.4) * 1.5) - int(0.4 * 1.5) for i in range(2)] + [3]
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            window = IMAGE[:, :, row : row + 2, column : column + 2]
            np.testing.assert_array_equal(numbers(values)[:, :, i, j], window.max((2, 3)))
    assert places.dtype is devtensor.int64
    volume = F.fractional_max_pool3d(devtensor.ones(1, 4, 4, 4), 2, output_ratio=(0.5, 0.5, 0.5))
    assert volume.shape == (1, 2, 2, 2)
    assert nn.FractionalMaxPool2d(2, output_size=2)(tensor(IMAGE)).shape == (2, 3, 2, 2)


def test_means_of_integers_are_cut():
    x = devtensor.tensor([[[-3, -2, 4, 3]]])
    assert F.avg_pool1d(x, 2).tolist() == [[[-2, 3]]]


SMOOTH = {
    "adaptive_max": lambda x: F.adaptive_max_pool2d(x, (4, 3)) ** 2,
    "lp": lambda x: F.lp_pool2d(x + 200, 2, (2, 3), stride=1),
    "unpool": lambda x: F.max_unpool2d(*F.max_pool2d(x[..., :4], 2, return_indices=True), 2) ** 2,
    "fractional": lambda x: (
        F.fractional_max_pool2d(x, 2, output_size=3, _random_samples=tensor(np.full((2, 3, 2), 0.4))) ** 2
    ),
    "response": lambda x: F.local_response_norm(x / 50, 3),
    "cross map": lambda x: nn.CrossMapLRN2d(3)(x / 50),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    x = tensor(IMAGE / 10).requires_grad_()
    assert gradcheck(SMOOTH[name], (x,)) and gradgradcheck(SMOOTH[name], (x,))


E = devtensor.ones
ERRORS = {
    "Input dimension should be at least": (ArgumentError, lambda: F.adaptive_max_pool2d(E(2, 2), 1)),
    "not implemented for int64": (DTypeError, lambda: F.adaptive_max_pool1d(E(1, 1, 4).long(), 2)),
    "output_size must be": (ShapeError, lambda: F.adaptive_avg_pool2d(E(1, 1, 4, 4), (1, 2, 3))),
    "should be type int64": (DTypeError, lambda: F.max_unpool1d(E(1, 2), E(1, 2), 2)),
    "invalid max index": (ShapeError, lambda: F.max_unpool1d(E(1, 2), E(1, 2).long() * 9, 2)),
    "invalid output_size": (
        ArgumentError,
        lambda: F.max_unpool1d(E(1, 2), E(1, 2).long(), 2, output_size=(9,)),
    ),
    "requires specifying either": (ArgumentError, lambda: F.fractional_max_pool2d(E(1, 4, 4), 2)),
    "too large for input": (ShapeError, lambda: F.fractional_max_pool2d(E(1, 4, 4), 2, output_size=4)),
    "divisor must be not zero": (ShapeError, lambda: F.avg_pool2d(E(1, 1, 4, 4), 2, divisor_override=0)),
    "positive length": (ShapeError, lambda: F.max_pool1d(E(1, 0, 4), 2)),
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text):
    kind, call = ERRORS[text]
    with pytest.raises(kind, match=text):
        call()
