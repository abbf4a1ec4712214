"""Where results lie for inputs whose dims stand in other orders in memory; the meta device says the same."""

from __future__ import annotations

import pytest

import devtensor

# What the expressions are made of: the order of dims in memory, outermost first, and the shape.
GIVEN = {
    "turned": ((1, 0), (3, 4)),
    "middle": ((0, 2, 1), (2, 3, 4)),
    "backward": ((2, 1, 0), (2, 3, 4)),
    "square": ((1, 0), (3, 3)),
    "image": ((0, 2, 3, 1), (2, 4, 6, 6)),
    "volume": ((0, 2, 3, 4, 1), (2, 4, 3, 4, 5)),
    "line": ((0, 2, 1), (2, 4, 6)),
    "rows": ((0, 1), (3, 3)),
    "plain": ((0, 1, 2), (2, 3, 4)),
}
# The strides that PyTorch's results have.
CASES = {
    "turned.exp()": [(1, 3)],
    "turned + 1": [(1, 3)],
    "T.ones(4, device=turned.device) + turned": [(1, 3)],
    "T.lerp(turned, turned, 0.5)": [(1, 3)],
    "T.complex(turned, turned)": [(1, 3)],
    "T.polar(turned, turned)": [(1, 3)],
    "T.copysign(turned, turned)": [(1, 3)],
    "T.sort(backward, 1)": [(1, 2, 6), (1, 2, 6)],
    "T.argsort(backward, 0)": [(1, 2, 6)],
    "T.cummax(middle, 1)": [(12, 4, 1), (12, 4, 1)],
    "T.flip(backward, (0,))": [(1, 2, 6)],
    "T.rot90(plain)": [(4, 12, 1)],
    "T.rot90(middle, 3)": [(1, 12, 3)],
    "T.gather(turned, 0, T.zeros(3, 4, dtype=T.int64, device=turned.device).t().contiguous().t())": [(4, 1)],
    "turned.masked_fill(turned > 2, 0.0)": [(4, 1)],
    "T.nonzero(rows)": [(1, 9)],
    "T.nonzero(rows, as_tuple=True)": [(1,), (1,)],
    "T.argwhere(turned)": [(1, 12)],
    "turned[[0, 2]]": [(4, 1)],
    "middle[[1, 0]]": [(12, 1, 3)],
    "middle[:, [0, 1]]": [(8, 4, 1)],
    "backward[:, [0, 1], [1, 2]]": [(2, 1)],
    "backward[[0, 1], :, [1, 2]]": [(3, 1)],
    'turned.index_put((T.tensor([1]),), T.tensor(0.0)) if turned.device.type == "cpu" else turned.clone()': [
        (1, 3)
    ],
    "T.diff(turned, dim=0)": [(1, 2)],
    "T.cat([image, image], 1)": [(288, 1, 48, 8)],
    "T.cat([image, image.contiguous()], 1)": [(288, 36, 6, 1)],
    "T.inverse(rows)": [(1, 3)],
    "T.linalg.cholesky(rows)": [(1, 3)],
    "T.linalg.solve(rows, rows)": [(1, 3)],
    "T.linalg.solve(rows, rows, left=False)": [(3, 1)],
    "T.linalg.eigh(rows)": [(1,), (1, 3)],
    "T.linalg.qr(rows)": [(1, 3), (1, 3)],
    "T.linalg.svd(rows)": [(1, 3), (1,), (1, 3)],
    "T.linalg.inv_ex(rows)": [(1, 3), ()],
    'T.linalg.lu_factor(square) if square.device.type == "cpu" else T.linalg.lu_factor_ex(square)[:2]': [
        (1, 3),
        (1,),
    ],
    "T.linalg.matrix_exp(square)": [(3, 1)],
    "T.linalg.solve_triangular(square, square, upper=True)": [(1, 3)],
    "T.fft.fft(plain, dim=1)": [(12, 1, 3)],
    "T.fft.fft(turned)": [(4, 1)],
    "T.fft.rfft(plain, dim=0)": [(1, 8, 2)],
    "T.fft.irfft(T.fft.rfft(middle))": [(12, 4, 1)],
    "T.fft.fft2(backward)": [(12, 1, 3)],
    "T.fft.fftn(backward)": [(1, 2, 6)],
    "F.max_pool2d(image, 2)": [(36, 1, 12, 4)],
    "F.max_pool2d(image, 2, return_indices=True)": [(36, 1, 12, 4), (36, 1, 12, 4)],
    "F.avg_pool2d(image, 2)": [(36, 1, 12, 4)],
    "F.adaptive_avg_pool2d(image, 2)": [(16, 1, 8, 4)],
    "F.max_pool3d(volume, 2)": [(16, 1, 8, 4)],
    "F.avg_pool3d(volume, 2)": [(16, 4, 2, 1)],
    "F.avg_pool1d(line, 2)": [(12, 1, 4)],
    "F.max_pool1d(line, 2)": [(12, 3, 1)],
    "F.conv2d(image, T.ones(3, 4, 2, 2, device=image.device))": [(75, 1, 15, 3)],
    "F.conv_transpose2d(image, T.ones(4, 3, 2, 2, device=image.device))": [(147, 1, 21, 3)],
    "F.batch_norm(image, None, None, training=True)": [(144, 1, 24, 4)],
    "F.batch_norm(line, None, None, training=True)": [(24, 6, 1)],
    "F.instance_norm(image)": [(144, 36, 6, 1)],
    "F.group_norm(image, 2)": [(144, 1, 24, 4)],
    "F.interpolate(image, scale_factor=2.0)": [(576, 1, 48, 4)],
    'F.interpolate(image, scale_factor=2.0, mode="bilinear")': [(576, 1, 48, 4)],
    "F.pad(image, (1, 1))": [(192, 1, 32, 4)],
    'F.pad(image, (1, 1, 0, 0), mode="reflect")': [(192, 1, 32, 4)],
    "F.pixel_shuffle(image, 2)": [(144, 12, 1)],
    "F.pixel_shuffle(image, 1)": [(144, 1, 24, 4)],
    "F.scaled_dot_product_attention(image, image, image)": [(144, 36, 6, 1)],
    "T.rand_like(turned)": [(1, 3)],
    "T.zeros_like(image)": [(144, 1, 24, 4)],
    "turned.to(T.float32, memory_format=T.contiguous_format)": [(1, 3)],
    "turned.double(memory_format=T.contiguous_format)": [(4, 1)],
}
# Their shapes follow from numbers, which the meta device does not have.
BY_VALUES = ("nonzero", "unique", "inverse", "cholesky", "solve", "argwhere")


def tensors(library, device="cpu"):
    """The tensors that expressions name, in a library: positive definite where they are square."""
    made = {}
    for name, (order, shape) in GIVEN.items():
        x = library.arange(1.0, 1.0 + library.Size(shape).numel(), device=device).reshape(shape)
        x = x / 7 + (library.eye(3, device=device) * 9 if shape == (3, 3) else 0)
        x = x if name in ("turned", "middle") else x @ x.mT if shape == (3, 3) else x
        made[name] = x.permute(order).contiguous().permute([order.index(d) for d in range(len(shape))])
    return made


def strides(library, text, device="cpu"):
    """The strides of the result, or of each result; sizes of 1 are left out."""
    found = eval(text, {"T": library, "F": library.nn.functional, **tensors(library, device)})
    several = found if isinstance(found, tuple) else (found,)
    return [tuple(x.stride(d) for d in range(x.ndim) if x.shape[d] > 1) for x in several]


@pytest.mark.parametrize("text", CASES)
def test_results_lie_as_recorded(text):
    assert strides(devtensor, text) == CASES[text]


@pytest.mark.parametrize("text", [text for text in CASES if not any(name in text for name in BY_VALUES)])
def test_the_meta_device_says_the_same(text):
    assert strides(devtensor, text, "meta") == CASES[text]


def test_gradients_flow_through_a_result_that_was_laid_out():
    """A composite whose result is laid out anew is differentiable, to second order."""
    x = tensors(devtensor)["image"].to(devtensor.float64).requires_grad_()

    def function(x):
        return devtensor.nn.functional.avg_pool2d(devtensor.lerp(x, x * x, 0.3), 2)

    assert devtensor.autograd.gradcheck(function, (x,))
    assert devtensor.autograd.gradgradcheck(function, (x,))
