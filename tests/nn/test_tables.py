"""Tables of rows, bags of them, and attention of several heads, written out with NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor
import devtensor.nn.functional as F
from devtensor import nn
from devtensor.core.errors import ArgumentError, DTypeError, ShapeError

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(6, 3))
BAG = np.array([1, 4, 1, 0, 5])
STARTS = np.array([0, 3, 3])


def tensor(array):
    return devtensor.tensor(np.asarray(array))


def numbers(value) -> np.ndarray:
    return np.array(value.detach().tolist()).reshape(tuple(value.shape))


def by_bag(function, weights=None, padding=None):
    """A function of the rows of each bag; zeros of an empty one."""
    found = []
    for places in (range(3), range(0), range(3, 5)):
        rows = [TABLE[BAG[k]] * (1 if weights is None else weights[k]) for k in places if BAG[k] != padding]
        found.append(function(np.array(rows), axis=0) if rows else np.zeros(3))
    return np.array(found)


def bag(mode, **named):
    return F.embedding_bag(tensor(BAG), tensor(TABLE), tensor(STARTS), mode=mode, **named)


WEIGHTS = RNG.normal(size=5)
BAGS = {
    "sum": (lambda: bag("sum"), lambda: by_bag(np.sum)),
    "mean": (lambda: bag("mean"), lambda: by_bag(np.mean)),
    "max": (lambda: bag("max"), lambda: by_bag(np.max)),
    "weighted": (lambda: bag("sum", per_sample_weights=tensor(WEIGHTS)), lambda: by_bag(np.sum, WEIGHTS)),
    "mean without padding": (lambda: bag("mean", padding_idx=1), lambda: by_bag(np.mean, padding=1)),
    "max without padding": (lambda: bag("max", padding_idx=-5), lambda: by_bag(np.max, padding=1)),
    "the last offset ends": (
        lambda: F.embedding_bag(
            tensor(BAG), tensor(TABLE), tensor([0, 3, 3, 5]), mode="sum", include_last_offset=True
        ),
        lambda: by_bag(np.sum),
    ),
    "bags of one length": (
        lambda: F.embedding_bag(tensor(BAG[:4].reshape(2, 2)), tensor(TABLE)),
        lambda: TABLE[BAG[:4]].reshape(2, 2, 3).mean(1),
    ),
}


@pytest.mark.parametrize("name", BAGS)
def test_bags(name):
    call, wanted = BAGS[name]
    np.testing.assert_allclose(numbers(call()), wanted(), 1e-12)


def test_long_rows_are_shortened_in_the_table_itself():
    table = devtensor.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]])
    rows = F.embedding(tensor([0, 1]), table, max_norm=1.0)
    np.testing.assert_allclose(numbers(rows), [[0.6, 0.8], [0.3, 0.4]], 1e-6)
    np.testing.assert_allclose(numbers(table), [[0.6, 0.8], [0.3, 0.4], [6, 8]], 1e-6)


def test_gradients_by_frequency_and_without_padding():
    layer = nn.Embedding(4, 2, padding_idx=3, scale_grad_by_freq=True, sparse=True)
    layer(tensor([1, 1, 0, 3])).sum().backward()
    assert numbers(layer.weight.grad).tolist() == [[1, 1], [1, 1], [0, 0], [0, 0]]


def test_bags_in_a_layer():
    layer = nn.EmbeddingBag.from_pretrained(tensor(TABLE), mode="sum")
    assert not layer.weight.requires_grad and repr(layer) == "EmbeddingBag(6, 3, mode='sum')"
    np.testing.assert_allclose(numbers(layer(tensor(BAG), tensor(STARTS))), by_bag(np.sum), 1e-12)


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


Q = RNG.normal(size=(4, 2, 6))
K = RNG.normal(size=(5, 2, 6))
PROJECTIONS, BIASES = RNG.normal(size=(18, 6)), RNG.normal(size=18)
OUT = RNG.normal(size=(6, 6))


def attention(hidden, heads=2):
    """Output and weights (N, heads, L, S) of Q attending K, which `hidden` says where not to look."""
    parts = zip((Q, K, K), np.split(PROJECTIONS, 3), np.split(BIASES, 3), strict=True)
    q, k, v = ((x @ w.T + b).reshape(-1, 2, heads, 3).transpose(1, 2, 0, 3) for x, w, b in parts)
    weights = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(3) + np.where(hidden, -np.inf, 0.0))
    return (weights @ v).transpose(2, 0, 1, 3).reshape(4, 2, 6) @ OUT.T, weights


def heads(zeros=False, **named):
    tensors = (tensor(Q), tensor(K), tensor(K), 6, 2, tensor(PROJECTIONS), tensor(BIASES))
    return F.multi_head_attention_forward(*tensors, None, None, zeros, 0.0, tensor(OUT), None, **named)


@pytest.mark.parametrize("weighted", [True, False])
def test_heads(weighted):
    mask, padding = RNG.random((4, 5)) < 0.3, np.zeros((2, 5), bool)
    padding[1, 4] = True
    wanted, weights = attention(mask | padding[:, None, None, :])
    found, seen = heads(attn_mask=tensor(mask), key_padding_mask=tensor(padding), need_weights=weighted)
    np.testing.assert_allclose(numbers(found), wanted, 1e-10)
    if weighted:
        np.testing.assert_allclose(numbers(seen), weights.mean(1), 1e-10)
    else:
        assert seen is None


def test_heads_look_at_nothing_more_with_zeros_and_biases():
    plain = heads(zeros=True, average_attn_weights=False)[1]
    assert plain.shape == (2, 2, 4, 6)
    tensors = (tensor(Q[:, 0]), tensor(K[:, 0]), tensor(K[:, 0]), 6, 2, tensor(PROJECTIONS), tensor(BIASES))
    biases = tensor(np.zeros((1, 1, 6))), tensor(np.zeros((1, 1, 6)))
    one = F.multi_head_attention_forward(*tensors, *biases, False, 0.0, tensor(OUT), None)
    assert one[0].shape == (4, 6) and one[1].shape == (4, 6)


ERRORS = {
    "embedding dimension of 8": (
        AssertionError,
        lambda: F.multi_head_attention_forward(
            *(devtensor.ones(2, 6),) * 3, 8, 2, None, None, None, None, False, 0.0, tensor(OUT), None
        ),
    ),
    "Need attn_mask": (ShapeError, lambda: heads(is_causal=True)),
    "attn_mask is": (ShapeError, lambda: heads(attn_mask=devtensor.zeros(3, 3))),
    "mode has to be one of": (ArgumentError, lambda: bag("least")),
    "only supported for mode": (ArgumentError, lambda: bag("mean", per_sample_weights=tensor(WEIGHTS))),
    "offsets has to be a 1D": (ArgumentError, lambda: F.embedding_bag(tensor(BAG), tensor(TABLE))),
    "has to be 0": (ShapeError, lambda: F.embedding_bag(tensor(BAG), tensor(TABLE), tensor([1, 2]))),
    "valid range": (ShapeError, lambda: F.embedding_bag(tensor([9]), tensor(TABLE), tensor([0]))),
    "int64 or int32": (DTypeError, lambda: F.embedding(devtensor.ones(2), tensor(TABLE))),
    "must be non-negative": (ShapeError, lambda: F.one_hot(tensor([-1]))),
    "smaller than num_classes": (ShapeError, lambda: F.one_hot(tensor([3]), 2)),
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text):
    kind, call = ERRORS[text]
    with pytest.raises(kind, match=text):
        call()
