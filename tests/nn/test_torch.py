"""Layers' functions against PyTorch itself, call by call: an optional run (--oracle torch)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import devtensor
from devtensor.core.errors import DevtensorError

RNG = np.random.default_rng(0)
NUMBERS = {
    "x": RNG.normal(size=(3, 5)),
    "y": RNG.normal(size=(3, 5)),
    "line": RNG.normal(size=(2, 4, 9)),
    "image": RNG.normal(size=(2, 4, 7, 6)),
    "volume": RNG.normal(size=(2, 3, 5, 4, 6)),
    "grid": RNG.uniform(-1.3, 1.3, size=(2, 4, 5, 2)),
    "space": RNG.uniform(-1.3, 1.3, size=(2, 3, 4, 2, 3)),
    "labels": np.array([1, 4, 0]),
    "signs": np.where(RNG.random((3, 5)) < 0.5, -1.0, 1.0),
    "filters": RNG.normal(size=(6, 2, 3, 2)),
    "heads": RNG.normal(size=(2, 4, 6, 8)),
    "mask": RNG.random((6, 6)) < 0.6,
    "table": RNG.normal(size=(6, 3)),
    "bag": np.array([1, 4, 1, 0, 5]),
    "starts": np.array([0, 3, 3]),
}
# What is called, in the names of NUMBERS; what PyTorch refuses must be refused with the same kind of error.
CALLS = """
F.interpolate(line, scale_factor=1.7, mode='linear')
F.interpolate(line, 4, mode='nearest-exact')
F.interpolate(image, (5, 11), mode='bicubic', align_corners=True)
F.interpolate(image, scale_factor=(0.6, 2.3), mode='bilinear', antialias=True)
F.interpolate(image, scale_factor=2.5, mode='bilinear', recompute_scale_factor=True)
F.interpolate(volume, (3, 9, 4), mode='trilinear')
F.interpolate(volume, scale_factor=0.5, mode='area')
F.interpolate(line, 4, mode='bilinear')
F.interpolate(line)
F.interpolate(line, 4, align_corners=True)
F.grid_sample(image, grid, padding_mode='zeros', align_corners=False)
F.grid_sample(image, grid, 'nearest', 'border', align_corners=True)
F.grid_sample(image, grid, 'bicubic', 'reflection', align_corners=False)
F.grid_sample(volume, space, padding_mode='reflection', align_corners=True)
F.grid_sample(image, space)
F.affine_grid(volume[:, 0, :2, :3], (2, 1, 3, 4), align_corners=False)
F.unfold(image, (3, 2), dilation=2, padding=1, stride=2)
F.fold(F.unfold(image, 2, stride=2), (6, 6), 2, stride=2)
F.pixel_shuffle(image, 2)
F.pixel_shuffle(image, 3)
F.channel_shuffle(image, 2)
F.adaptive_max_pool2d(image, (3, 4), return_indices=True)
F.adaptive_avg_pool3d(volume, (2, None, 5))
F.max_unpool2d(*F.max_pool2d(image, 2, return_indices=True), 2, output_size=(7, 6))
F.lp_pool2d(image.abs(), 3, (2, 3), ceil_mode=True)
F.avg_pool2d(image, 3, 2, 1, ceil_mode=True, count_include_pad=False)
F.max_pool2d(image, 3, padding=2)
F.local_response_norm(image, 3)
F.conv2d(image, filters, groups=2, padding='same', dilation=2)
F.conv2d(image, filters)
F.conv_transpose2d(image, filters[:4], stride=2, padding=1, output_padding=1, groups=2)
F.conv_transpose2d(image, filters[:4], stride=(2, 3), dilation=4, output_padding=(3, 2))
F.pad(image, (2, 1, 3, 0), 'reflect')
F.pad(image, (2, 1, -1, 4), 'circular')
F.pad(image, (9, 9, 0, 0), 'reflect')
F.batch_norm(image, None, None, training=True)
F.batch_norm(x[:1], None, None, training=True)
F.instance_norm(image)
F.normalize(image, p=3, dim=(2, 3))
F.cosine_similarity(image, line[..., None][:, :, :7], dim=1)
F.pdist(x, 3)
F.cross_entropy(x, labels, label_smoothing=0.2)
F.cross_entropy(x, labels[:2])
F.nll_loss(x, labels + 3)
F.multi_margin_loss(x, labels, 2, 0.3)
F.multilabel_margin_loss(x, (labels[:, None] + labels) % 5)
F.soft_margin_loss(x, signs.detach())
F.hinge_embedding_loss(x, signs)
F.margin_ranking_loss(x, y, signs)
F.cosine_embedding_loss(x, y, signs[:, 0])
F.triplet_margin_loss(x, y, signs, swap=True)
F.poisson_nll_loss(x, y.abs() * 5, full=True)
F.gaussian_nll_loss(x, y, signs.abs() * 2, full=True)
F.ctc_loss(line.permute(2, 0, 1).log_softmax(2), labels[:2, None] % 3, (9, 6), (1, 1), 3)
F.scaled_dot_product_attention(heads, heads, heads, is_causal=True)
F.scaled_dot_product_attention(heads, heads, heads, attn_mask=mask)
F.scaled_dot_product_attention(heads, heads[:, :2], heads[:, :2], enable_gqa=True)
F.embedding(labels, table, padding_idx=1, scale_grad_by_freq=True)
F.embedding(labels + 9, table)
F.embedding_bag(bag, table, starts, mode='mean', padding_idx=1)
F.embedding_bag(bag, table, starts, mode='max')
F.one_hot(labels, 3)
F.softmax(labels, 0)
F.hardtanh(labels, 1, 2)
""".strip().splitlines()


def arguments(library: Any, convert: Any) -> dict[str, Any]:
    """The numbers as the library's tensors, those of floating point with a gradient wanted."""
    made = {name: convert(np.array(value)) for name, value in NUMBERS.items()}
    for tensor in made.values():
        if tensor.is_floating_point():
            tensor.requires_grad_(True)
    return {"F": library.nn.functional, **made}


def outcome(call: str, given: dict[str, Any]) -> Any:
    """Results and gradients as NumPy arrays, or the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = eval(call, {}, given)
    except (ValueError, RuntimeError, IndexError, TypeError, AssertionError) as error:
        return error
    results = list(found) if isinstance(found, tuple) else [found]
    wanted = [r for r in results if r.requires_grad]
    if wanted:
        sum((r * r).sum() for r in wanted).backward()  # type: ignore[attr-defined]
    grads = [t.grad for name, t in given.items() if name in NUMBERS and t.grad is not None]
    return [np.asarray(t.detach().numpy()) for t in (*results, *grads)]


@pytest.mark.parametrize("call", CALLS)
def test_calls(call, torch):
    wanted = outcome(call, arguments(torch, torch.tensor))
    found = outcome(call, arguments(devtensor, devtensor.tensor))
    if isinstance(wanted, Exception):
        assert isinstance(found, DevtensorError), f"PyTorch refuses: {wanted}"
        assert isinstance(found, type(wanted)) or isinstance(wanted, NotImplementedError), (found, wanted)
        return
    assert not isinstance(found, Exception), found
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, 1e-7, 1e-9)
