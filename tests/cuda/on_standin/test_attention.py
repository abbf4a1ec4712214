"""Attention in few launches: its softmax reads the mask, hides later keys and scales."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

import devtensor as torch
from cuda_sources.drawn import LIMITS, assert_close, drawn, wide
from devtensor.autograd import grad
from devtensor.nn.functional import scaled_dot_product_attention
from devtensor.ops.attention import masked_softmax
from devtensor_cupy import softmaxes

pytestmark = pytest.mark.usefixtures("compiler")

SHAPES = [(3, 5), (4, 6, 3), (2, 3, 8, 8), (2, 1, 2, 3, 4), (2, 3, 1030)]


def reference(scores, mask, causal, scale):
    """In float64; rows that see nothing are zeros."""
    scores = wide(scores) * scale
    if mask is not None:
        added = mask.cpu().numpy() if mask.dtype is torch.bool else wide(mask)
        scores = scores + (np.where(added, 0, -np.inf) if added.dtype == bool else added)
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    nothing = np.isneginf(scores).all(-1, keepdims=True)
    return np.where(nothing, 0, special.softmax(np.where(nothing, 0, scores), -1))


def masks_of(shape, dtype):
    """Masks that repeat along any of the dims, in every dtype that may stand beside scores."""
    yield None
    for k in range(len(shape)):
        lead = tuple(1 if d == k else size for d, size in enumerate(shape))
        hidden = torch.tensor(np.random.default_rng(k).random(lead) < 0.7)
        yield hidden.cuda()
        for other in {dtype, torch.float32, torch.float16, torch.bfloat16}:
            yield drawn(lead, other, k)
    yield torch.zeros(shape[-2:], dtype=torch.bool, device="cuda")
    yield drawn(shape[::-1], dtype).permute(*range(len(shape))[::-1])


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("shape", SHAPES)
def test_masked_scores_are_shared_out_in_one_launch(shape, dtype, launched, worked):
    scores = drawn(shape, dtype)
    for mask in masks_of(shape, dtype):
        for causal in (False, True):
            launched.clear(), worked.clear()
            found = masked_softmax(scores, mask, causal, 0.5)
            assert launched == [f"{'warp' if shape[-1] <= 1024 else 'block'}_masked_softmax"]
            assert worked == ["masked_softmax"]
            assert_close(found, reference(scores, mask, causal, 0.5), dtype, 1 / shape[-1])


def test_scores_without_numbers_and_scores_that_are_none():
    for shape in ((0, 3), (3, 0), (2, 0, 4)):
        for mask in (None, torch.ones(shape, dtype=torch.bool, device="cuda")):
            assert masked_softmax(torch.ones(shape, device="cuda"), mask, True, 0.5).shape == shape
    inf, nan = math.inf, math.nan
    scores = torch.tensor([[-inf, -inf, inf], [nan, 0.0, nan], [0.0, nan, 0.0]], device="cuda")
    found = masked_softmax(scores, None, True, 1.0)
    np.testing.assert_equal(wide(found), [[nan, 0, 0], [nan, nan, 0], [nan, nan, nan]])
    seen = torch.ones(3, 3, dtype=torch.bool, device="cuda")
    np.testing.assert_equal(wide(masked_softmax(scores, seen, True, 1.0))[0], [0, 0, 0])


def mask_named(kind, shape):
    if kind == "bool":
        return torch.ones(shape, dtype=torch.bool).tril(1).cuda()
    return drawn(shape, torch.float32, 9) if kind == "float" else None


FORWARD = ["matmul", "masked_softmax", "matmul"]
BACKWARD = ["matmul", "matmul", "softmax_gradient", "matmul", "matmul"]
HALF_FORWARD = ["cast", "cast", "matmul", "masked_softmax", "cast", "matmul", "cast"]


@pytest.mark.parametrize("kind", ["plain", "causal", "bool", "float"])
@pytest.mark.parametrize(("queries", "keys"), [(6, 6), (3, 7), (7, 3)])
def test_attention_is_two_products_and_a_softmax(kind, queries, keys, worked):
    sizes = (queries, 8), (keys, 8), (keys, 5)
    inputs = [drawn((2, 3, *size), torch.float32, k).requires_grad_() for k, size in enumerate(sizes)]
    g = drawn((2, 3, queries, 5), torch.float32, 7)

    def run(*tensors, device):
        mask = mask_named(kind, (queries, keys))
        mask = mask if mask is None else mask.to(device)
        return scaled_dot_product_attention(*tensors, attn_mask=mask, is_causal=kind == "causal")

    run(*inputs, device="cuda")
    worked.clear()
    found = run(*inputs, device="cuda")
    assert worked == FORWARD
    worked.clear()
    slopes = grad(found, inputs, g)
    assert worked == BACKWARD
    doubles = [t.detach().cpu().double().requires_grad_() for t in inputs]
    wanted = run(*doubles, device="cpu")
    assert_close(found, wide(wanted), torch.float32, 4.0)
    for slope, other in zip(slopes, grad(wanted, doubles, g.cpu().double()), strict=True):
        assert_close(slope, wide(other), torch.float32, 8.0)


def test_halves_are_computed_in_float32(worked):
    inputs = [drawn((2, 3, 6, 8), torch.float16, k) for k in range(3)]
    scaled_dot_product_attention(*inputs, is_causal=True)
    worked.clear()
    found = scaled_dot_product_attention(*inputs, is_causal=True)
    assert worked == HALF_FORWARD
    wanted = scaled_dot_product_attention(*(t.cpu().double() for t in inputs), is_causal=True)
    assert_close(found, wide(wanted), torch.float16, 2.0)


def test_a_mask_of_numbers_has_a_gradient_of_its_own():
    mask = drawn((3, 1, 5), torch.float32, 1).requires_grad_()
    scores, g = drawn((2, 3, 4, 5), torch.float32), drawn((2, 3, 4, 5), torch.float32, 2)
    (slope,) = grad(masked_softmax(scores, mask, True, 0.5), [mask], g)
    y = reference(scores, mask, True, 0.5)
    each = y * (wide(g) - (y * wide(g)).sum(-1, keepdims=True))
    assert_close(slope, each.sum((0, 2)).reshape(3, 1, 5), torch.float32, 8.0)


def masked_heads():
    scores, mask = drawn((2, 3, 4, 5), torch.float32), drawn((2, 1, 1, 5), torch.float32, 1)
    found = masked_softmax(scores, mask, True, 0.5)
    assert_close(found, reference(scores, mask, True, 0.5), torch.float32)


def beside_bools():
    scores, seen = drawn((3, 5), torch.float32), torch.tensor([[True, False, True, True, False]] * 3).cuda()
    found = masked_softmax(scores, seen, False, 1.0)
    assert_close(found, reference(scores, seen, False, 1.0), torch.float32)


def with_two_heads(mask, shape, steps=softmaxes.mask_steps):
    mask, _, found = steps(mask, shape)
    return mask, 2, found


FAULTS = {
    "heads are counted wrongly": ("mask_steps", with_two_heads, masked_heads),
    "scores are not brought in order": ("in_rows", lambda array: array[::-1], masked_heads),
    "bools are read as numbers": ("MASK_KINDS", dict.fromkeys(("bool", "float32"), 4), beside_bools),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name, reddens):
    reddens(softmaxes, *FAULTS[name])
