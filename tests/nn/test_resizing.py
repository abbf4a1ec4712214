"""Images in other sizes and read at other places; elements moved between channels, places and windows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import devtensor
import devtensor.nn.functional as F
from devtensor import nn
from devtensor.autograd import gradcheck, gradgradcheck
from devtensor.core.errors import ArgumentError, DTypeError, ShapeError, Unsupported

RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(2, 3, 5, 4))
RAMP = np.array([1.0, 2.0, 4.0])
# What an element counts at the distances 1.75, 1.25, 0.75 and 0.25.
CUBIC = [-0.03515625, -0.10546875, 0.26171875, 0.87890625]


def tensor(array):
    return devtensor.tensor(np.asarray(array))


def numbers(value) -> np.ndarray:
    return np.array(value.detach().tolist()).reshape(tuple(value.shape))


def line(values, **named):
    """A signal resized."""
    return F.interpolate(tensor(np.asarray(values)[None, None]), **named)[0, 0]


def linear(size, axis):
    """IMAGE resized along one axis with aligned corners."""
    places = np.linspace(0, IMAGE.shape[axis] - 1, size)
    return lambda x: np.apply_along_axis(lambda row: np.interp(places, np.arange(row.size), row), axis, x)


def grid_of(places):
    """Places (x, y) in elements as a grid for IMAGE with aligned corners."""
    height, width = IMAGE.shape[2:]
    return tensor(np.asarray(places) * (2 / (width - 1), 2 / (height - 1)) - 1.0)


PLACES = RNG.uniform(-1.5, 5.5, size=(2, 6, 7, 2))


def looked_up(mode, order=1):
    """IMAGE at PLACES by SciPy."""
    rows = np.stack([PLACES[..., 1], PLACES[..., 0]], axis=1)
    return np.array(
        [
            [ndimage.map_coordinates(plane, place, order=order, mode=mode) for plane in planes]
            for planes, place in zip(IMAGE, rows, strict=True)
        ]
    )


def sampled(padding, mode="bilinear"):
    return F.grid_sample(tensor(IMAGE), grid_of(PLACES), mode, padding, align_corners=True)


VALUES = {
    "nearest": (lambda: line(RAMP, scale_factor=2), lambda: np.repeat(RAMP, 2)),
    "nearest, smaller": (lambda: line(np.arange(7.0), size=3), lambda: [0, 2, 4]),
    "nearest-exact": (lambda: line(np.arange(7.0), size=3, mode="nearest-exact"), lambda: [1, 3, 5]),
    "linear": (lambda: line(RAMP, scale_factor=2, mode="linear"), lambda: [1, 1.25, 1.75, 2.5, 3.5, 4]),
    "linear, corners": (
        lambda: line(RAMP, size=5, mode="linear", align_corners=True),
        lambda: [1, 1.5, 2, 3, 4],
    ),
    "linear, the scale counts": (
        lambda: line(np.arange(4.0), scale_factor=1.3, mode="linear"),
        lambda: np.maximum((np.arange(5) + 0.5) / 1.3 - 0.5, 0),
    ),
    "linear, the sizes count": (
        lambda: line(np.arange(4.0), scale_factor=1.3, mode="linear", recompute_scale_factor=True),
        lambda: np.clip((np.arange(5) + 0.5) * 0.8 - 0.5, 0, 3),
    ),
    "bilinear": (
        lambda: F.interpolate(tensor(IMAGE), (7, 9), mode="bilinear", align_corners=True),
        lambda: linear(9, 3)(linear(7, 2)(IMAGE)),
    ),
    "trilinear": (
        lambda: F.interpolate(tensor(IMAGE[None]), (3, 7, 9), mode="trilinear", align_corners=True)[0],
        lambda: linear(9, 3)(linear(7, 2)(linear(3, 1)(IMAGE))),
    ),
    "bicubic": (
        lambda: F.interpolate(tensor(np.eye(12)[5] * np.ones((1, 1, 3, 1))), (3, 24), mode="bicubic")[
            0, 0, 1, 7:15
        ],
        lambda: CUBIC + CUBIC[::-1],
    ),
    "area": (
        lambda: F.interpolate(tensor(IMAGE[:, :, :4]), (2, 2), mode="area"),
        lambda: IMAGE[:, :, :4].reshape(2, 3, 2, 2, 2, 2).mean((3, 5)),
    ),
    "antialias weighs all that it leaves out": (
        lambda: F.interpolate(tensor(np.eye(8)[None, None]), (2, 8), mode="bilinear", antialias=True)[0, 0],
        lambda: [
            np.array([1, 3, 5, 7, 7, 5, 3, 1])[[2, 3, 4, 5, 6, 7, 0, 0]] * [1, 1, 1, 1, 1, 1, 0, 0] / 28,
            np.array([0, 0, 1, 3, 5, 7, 7, 5]) / 28,
        ],
    ),
    "bytes are rounded": (
        lambda: F.interpolate(devtensor.tensor([[[[0, 3]]]], dtype=devtensor.uint8), (1, 4), mode="bilinear"),
        lambda: [[[[0, 1, 2, 3]]]],
    ),
    "grid_sample, zeros": (lambda: sampled("zeros"), lambda: looked_up("grid-constant")),
    "grid_sample, border": (lambda: sampled("border"), lambda: looked_up("nearest")),
    "grid_sample, reflection": (lambda: sampled("reflection"), lambda: looked_up("mirror")),
    "grid_sample, nearest": (lambda: sampled("border", "nearest"), lambda: looked_up("nearest", 0)),
    "grid_sample of a volume": (
        lambda: F.grid_sample(
            tensor(IMAGE[None]),
            F.affine_grid(tensor(np.eye(3, 4)[None]), (1, 2, 3, 5, 4), align_corners=False),
            align_corners=False,
        )[0],
        lambda: IMAGE,
    ),
    "affine_grid": (
        lambda: F.affine_grid(tensor([[[1.0, 0, 0.5], [0, 2, 0]]]), (1, 1, 2, 2), align_corners=False),
        lambda: [[[[0, -1], [1, -1]], [[0, 1], [1, 1]]]],
    ),
    "pixel_shuffle": (
        lambda: F.pixel_shuffle(tensor(np.arange(16.0).reshape(1, 4, 2, 2)), 2),
        lambda: [[[[0, 4, 1, 5], [8, 12, 9, 13], [2, 6, 3, 7], [10, 14, 11, 15]]]],
    ),
    "pixel_unshuffle": (
        lambda: F.pixel_unshuffle(F.pixel_shuffle(tensor(RNG.permutation(54).reshape(9, 2, 3)), 3), 3) * 0,
        lambda: np.zeros((9, 2, 3)),
    ),
    "channel_shuffle": (
        lambda: F.channel_shuffle(tensor(np.arange(6.0).reshape(1, 6, 1)), 2),
        lambda: np.array([0, 3, 1, 4, 2, 5]).reshape(1, 6, 1),
    ),
    "unfold": (
        lambda: F.unfold(tensor(IMAGE), (2, 3), padding=(0, 1), stride=(1, 2)),
        lambda: (
            np.lib.stride_tricks.sliding_window_view(
                np.pad(IMAGE, ((0, 0), (0, 0), (0, 0), (1, 1))), (2, 3), (2, 3)
            )[:, :, :, ::2]
            .transpose(0, 1, 4, 5, 2, 3)
            .reshape(2, 18, 8)
        ),
    ),
    "fold": (
        lambda: F.fold(F.unfold(tensor(np.ones((1, 1, 3, 4))), 2), (3, 4), 2)[0, 0],
        lambda: [[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]],
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    call, wanted = VALUES[name]
    np.testing.assert_allclose(numbers(call()), wanted(), 1e-9, 1e-9)


SMOOTH = {
    "bilinear": lambda x, g: F.interpolate(x, (7, 3), mode="bilinear"),
    "bicubic, antialias": lambda x, g: F.interpolate(x, (3, 6), mode="bicubic", antialias=True),
    "nearest": lambda x, g: F.interpolate(x, (7, 3)),
    "area": lambda x, g: F.interpolate(x, (3, 3), mode="area"),
    "grid, zeros": lambda x, g: F.grid_sample(x, g, align_corners=False),
    "grid, cubic": lambda x, g: F.grid_sample(x, g, "bicubic", "reflection", align_corners=True),
    "unfold": lambda x, g: F.unfold(x, 2, padding=1) ** 2,
    "fold": lambda x, g: F.fold(x.reshape(2, 12, 5), (6, 2), 2) ** 2,
    "pixels": lambda x, g: F.pixel_shuffle(x.permute(0, 3, 1, 2), 2) ** 2,
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    x = tensor(IMAGE).requires_grad_()
    g = tensor(RNG.uniform(-0.9, 0.9, size=(2, 3, 3, 2))).requires_grad_("grid" in name)
    inputs = (x, g) if "grid" in name else (x, g.detach())
    assert gradcheck(SMOOTH[name], inputs) and gradgradcheck(SMOOTH[name], inputs)


def test_what_is_not_a_number_stays_where_it_is():
    x = np.ones(9)
    x[4] = np.nan
    bad = np.isnan(numbers(line(x, scale_factor=2, mode="linear")))
    assert bad.tolist() == [7 <= i <= 10 for i in range(18)]
    seen = F.grid_sample(tensor(np.full((1, 1, 2, 2), np.inf)), tensor([[[[9.0, 9.0]]]]), align_corners=False)
    assert seen.tolist() == [[[[0.0]]]]


E = devtensor.ones
ERRORS = {
    "either size or scale_factor": (ArgumentError, lambda: F.interpolate(E(1, 1, 2))),
    "only one of size or scale_factor": (ArgumentError, lambda: F.interpolate(E(1, 1, 2), 4, 2.0)),
    "for the modes": (Unsupported, lambda: F.interpolate(E(1, 1, 2), 4, mode="bilinear")),
    "align_corners option": (ArgumentError, lambda: F.interpolate(E(1, 1, 2), 4, align_corners=True)),
    "Anti-alias option": (ArgumentError, lambda: F.interpolate(E(1, 1, 2), 4, mode="linear", antialias=True)),
    "same number of spatial dimensions": (ArgumentError, lambda: F.interpolate(E(1, 1, 2), (4, 4))),
    "greater than 0": (DTypeError, lambda: F.interpolate(E(1, 1, 2), 0)),
    "not implemented for int64": (DTypeError, lambda: F.interpolate(E(1, 1, 2).long(), 4)),
    "expected mode": (ArgumentError, lambda: F.grid_sample(E(1, 1, 2, 2), E(1, 2, 2, 2), "odd")),
    "a coordinate for each": (ShapeError, lambda: F.grid_sample(E(1, 1, 2, 2), E(1, 2, 2, 3))),
    "only supports 4D input": (
        ShapeError,
        lambda: F.grid_sample(E(1, 1, 2, 2, 2), E(1, 2, 2, 2, 3), "bicubic", align_corners=True),
    ),
    "same floating-point dtype": (DTypeError, lambda: F.grid_sample(E(1, 1, 2, 2), E(1, 2, 2, 2).double())),
    "divisible by the square": (ShapeError, lambda: F.pixel_shuffle(E(3, 2, 2), 2)),
    "must be divisible by groups": (ShapeError, lambda: F.channel_shuffle(E(1, 4, 2), 3)),
    "at least one": (ShapeError, lambda: F.unfold(E(1, 1, 2, 2), 3)),
    "a multiple of 4": (ShapeError, lambda: F.fold(E(1, 5, 4), (3, 3), 2)),
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text):
    kind, call = ERRORS[text]
    with pytest.raises(kind, match=text):
        call()


def test_layers_are_their_functions():
    x = tensor(IMAGE)
    pairs = (
        (nn.Upsample(scale_factor=2, mode="bilinear"), F.interpolate(x, scale_factor=2, mode="bilinear")),
        (nn.UpsamplingNearest2d(size=(7, 7)), F.interpolate(x, (7, 7))),
        (
            nn.UpsamplingBilinear2d(scale_factor=3),
            F.interpolate(x, scale_factor=3, mode="bilinear", align_corners=True),
        ),
        (nn.PixelUnshuffle(1), x),
        (nn.ChannelShuffle(3), x),
        (nn.Unfold(2, stride=2), F.unfold(x, 2, stride=2)),
    )
    for layer, wanted in pairs:
        np.testing.assert_array_equal(numbers(layer(x)), numbers(wanted))
    assert repr(nn.Upsample(scale_factor=2)) == "Upsample(scale_factor=2.0, mode='nearest')"
    assert repr(nn.PixelShuffle(3)) == "PixelShuffle(upscale_factor=3)"
    assert (
        repr(nn.Fold((4, 4), 2)) == "Fold(output_size=(4, 4), kernel_size=2, dilation=1, padding=0, stride=1)"
    )


@pytest.mark.parametrize("old", ["upsample", "upsample_nearest", "upsample_bilinear"])
def test_former_names_warn(old):
    with pytest.warns(UserWarning, match=f"{old}. is deprecated"):
        assert getattr(F, old)(devtensor.ones(1, 1, 2, 2), scale_factor=2).shape == (1, 1, 4, 4)
