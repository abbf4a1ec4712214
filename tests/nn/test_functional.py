"""Functions of layers against float64 NumPy written out, where the ops' own tests do not reach."""

from __future__ import annotations

import math

import numpy as np
import pytest

import devtensor
import devtensor.nn.functional as F
from devtensor.core.errors import ArgumentError, DTypeError, ShapeError, Unsupported

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 5))
Y = RNG.normal(size=(4, 5))
W = RNG.uniform(0.5, 2.0, size=5)
LABELS = np.array([1, 4, 0, 1])


def tensor(array):
    return devtensor.tensor(np.asarray(array))


def numbers(value) -> np.ndarray:
    return np.array(value.detach().tolist()).reshape(tuple(value.shape))


def log_softmax(x, axis=1):
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def picked(weights=None, ignored=None):
    """Losses of the labels, and their weights."""
    weights = np.ones(5) if weights is None else weights
    each = np.where(ignored == LABELS, 0.0, weights[LABELS])
    return -log_softmax(X)[np.arange(4), LABELS] * each, each


def smoothed(s, weights, ignored=None):
    losses, each = picked(weights, ignored)
    every = -(log_softmax(X) * weights).sum(1) * (ignored != LABELS)
    return ((1 - s) * losses + s / 5 * every).sum() / each.sum()


def softmax(x):
    return np.exp(log_softmax(x))


# What is called, and what it must give.
VALUES = {
    "cross_entropy": (lambda: F.cross_entropy(tensor(X), tensor(LABELS)), lambda: picked()[0].mean()),
    "cross_entropy, weights": (
        lambda: F.cross_entropy(tensor(X), tensor(LABELS), tensor(W)),
        lambda: picked(W)[0].sum() / picked(W)[1].sum(),
    ),
    "cross_entropy, none": (
        lambda: F.cross_entropy(tensor(X), tensor(LABELS), reduction="none"),
        lambda: picked()[0],
    ),
    "cross_entropy, ignored": (
        lambda: F.cross_entropy(tensor(X), tensor(LABELS), ignore_index=1, reduction="sum"),
        lambda: picked(ignored=1)[0].sum(),
    ),
    "cross_entropy, all ignored": (
        lambda: F.cross_entropy(tensor(X[:1]), tensor([-100])),
        lambda: math.nan,
    ),
    "cross_entropy, smoothed": (
        lambda: F.cross_entropy(tensor(X), tensor(LABELS), tensor(W), ignore_index=4, label_smoothing=0.2),
        lambda: smoothed(0.2, W, 4),
    ),
    "cross_entropy, one sample": (
        lambda: F.cross_entropy(tensor(X[0]), tensor(1), reduction="none"),
        lambda: picked()[0][0],
    ),
    "cross_entropy, places": (
        lambda: F.cross_entropy(tensor(X[None].transpose(0, 2, 1)), tensor(LABELS[None])),
        lambda: picked()[0].mean(),
    ),
    "cross_entropy, probabilities": (
        lambda: F.cross_entropy(tensor(X), tensor(softmax(Y)), tensor(W)),
        lambda: -(log_softmax(X) * softmax(Y) * W).sum() / 4,
    ),
    "nll_loss": (
        lambda: F.nll_loss(tensor(X), tensor(LABELS), tensor(W)),
        lambda: -(X[np.arange(4), LABELS] * W[LABELS]).sum() / W[LABELS].sum(),
    ),
    "mse_loss, weighted": (
        lambda: F.mse_loss(tensor(X), tensor(Y), weight=tensor(Y**2)),
        lambda: ((X - Y) ** 2 * Y**2).sum() / (Y**2).sum(),
    ),
    "kl_div": (
        lambda: F.kl_div(tensor(log_softmax(X)), tensor(softmax(Y)), reduction="batchmean"),
        lambda: (softmax(Y) * (np.log(softmax(Y)) - log_softmax(X))).sum() / 4,
    ),
    "kl_div of nothing": (lambda: F.kl_div(tensor([-1.0]), tensor([0.0]), reduction="sum"), lambda: 0.0),
    "linear of a vector": (lambda: F.linear(tensor(X), tensor(W), tensor(2.0)), lambda: X @ W + 2),
    "normalize": (
        lambda: F.normalize(tensor(X), p=3, dim=0),
        lambda: X / (np.abs(X) ** 3).sum(0) ** (1 / 3),
    ),
    "normalize by the largest": (
        lambda: F.normalize(tensor(X), p=float("inf")),
        lambda: X / np.abs(X).max(1, keepdims=True),
    ),
    "cosine_similarity": (
        lambda: F.cosine_similarity(tensor(X), tensor(Y)),
        lambda: (X * Y).sum(1) / np.linalg.norm(X, axis=1) / np.linalg.norm(Y, axis=1),
    ),
    "pairwise_distance": (
        lambda: F.pairwise_distance(tensor(X), tensor(Y)),
        lambda: np.linalg.norm(X - Y + 1e-6, axis=1),
    ),
    "one_hot": (lambda: F.one_hot(tensor(LABELS)), lambda: np.eye(5)[LABELS]),
    "one_hot, more classes": (lambda: F.one_hot(tensor(LABELS[:0]), 7), lambda: np.zeros((0, 7))),
    "softmax in another dtype": (
        lambda: F.softmax(tensor(X).half(), 1, dtype=devtensor.float64),
        lambda: softmax(X.astype(np.float16).astype(np.float64)),
    ),
    "softmin": (lambda: F.softmin(tensor(X), 1), lambda: softmax(-X)),
    "selu": (
        lambda: F.selu(tensor(X)),
        lambda: 1.0507009873554805 * np.where(X > 0, X, 1.6732632423543772 * np.expm1(X)),
    ),
    "celu": (lambda: F.celu(tensor(X), 0.7), lambda: np.where(X > 0, X, 0.7 * np.expm1(X / 0.7))),
    "pad": (
        lambda: F.pad(tensor(X), (1, 2, 0, 3), value=1.5),
        lambda: np.pad(X, ((0, 3), (1, 2)), constant_values=1.5),
    ),
    "pad, cut": (lambda: F.pad(tensor(X), (-1, 2)), lambda: np.pad(X[:, 1:], ((0, 0), (0, 2)))),
    "pad, reflect": (
        lambda: F.pad(tensor(X), (4, 2), "reflect"),
        lambda: np.pad(X, ((0, 0), (4, 2)), "reflect"),
    ),
    "pad, replicate": (
        lambda: F.pad(tensor(X), (1, 7), "replicate"),
        lambda: np.pad(X, ((0, 0), (1, 7)), "edge"),
    ),
    "pad, circular": (
        lambda: F.pad(tensor(X), (5, 2), "circular"),
        lambda: np.pad(X, ((0, 0), (5, 2)), "wrap"),
    ),
    "conv1d, same": (
        lambda: F.conv1d(tensor(X[None, :1]), tensor([[[1.0, 2.0]]]), padding="same"),
        lambda: (X[0] + 2 * np.append(X[0, 1:], 0))[None, None],
    ),
    "conv_transpose1d": (
        lambda: F.conv_transpose1d(tensor(X[None, :1]), tensor([[[1.0, 2.0]]])),
        lambda: (np.append(X[0], 0) + 2 * np.append(0, X[0]))[None, None],
    ),
    "layer_norm": (
        lambda: F.layer_norm(tensor(X), (5,), tensor(W), tensor(W)),
        lambda: (X - X.mean(1, keepdims=True)) / np.sqrt(X.var(1, keepdims=True) + 1e-5) * W + W,
    ),
    "rms_norm": (
        lambda: F.rms_norm(tensor(X), [5], tensor(W)),
        lambda: X / np.sqrt((X**2).mean(1, keepdims=True) + 2.0**-52) * W,
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    call, expected = VALUES[name]
    np.testing.assert_allclose(numbers(call()), expected(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64"])
def test_rms_norm_takes_the_eps_of_what_it_is_computed_in(dtype):
    x = devtensor.full((1, 4), 2.0**-13, dtype=dtype)
    norm = F.rms_norm(x, (4,))
    assert norm.dtype is x.dtype
    # The root of 2**-26 + 2**-23 is three times the number.
    np.testing.assert_allclose(numbers(norm.real), 1 / 3, rtol=2.0**-8)


def test_old_flags_of_a_reduction():
    with pytest.warns(UserWarning, match="reduction='sum'"):
        found = F.mse_loss(tensor(X), tensor(Y), size_average=False)
    np.testing.assert_allclose(numbers(found), ((X - Y) ** 2).sum(), rtol=1e-12)


@pytest.mark.parametrize("kind", ["plain", "causal", "bool", "numbers", "heads"])
def test_attention(kind):
    q, k, v = (RNG.normal(size=(2, 2, 3, 4)) for _ in range(3))
    facts, scores = {}, q @ k.swapaxes(2, 3) / 2
    if kind == "causal":
        facts, scores = {"is_causal": True}, np.where(np.tril(np.ones((3, 3))), scores, -np.inf)
    elif kind == "bool":
        mask = np.array([[True, False, False], [True, True, False], [False, False, False]])
        facts, scores = {"attn_mask": tensor(mask)}, np.where(mask, scores, -np.inf)
    elif kind == "numbers":
        mask = RNG.normal(size=(3, 3))
        facts, scores = {"attn_mask": tensor(mask)}, scores + mask
    elif kind == "heads":
        k, v, facts = k[:, :1], v[:, :1], {"enable_gqa": True}
        scores = q @ k.swapaxes(2, 3) / 2
    with np.errstate(invalid="ignore"):
        weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    found = F.scaled_dot_product_attention(tensor(q), tensor(k), tensor(v), **facts)
    np.testing.assert_allclose(numbers(found), np.nan_to_num(weights) @ v, rtol=1e-9, atol=1e-12)


def test_gradients_stay_finite_at_the_edges():
    zeros = devtensor.zeros(2, 3, requires_grad=True)
    F.normalize(zeros).sum().backward()
    assert np.isfinite(numbers(zeros.grad)).all()
    far = devtensor.tensor([[900.0, -900.0]], requires_grad=True)
    F.cross_entropy(far, devtensor.tensor([1])).backward()
    assert far.grad.tolist() == [[1, -1]]
    logits = devtensor.tensor([-1e4, 1e4], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(logits, devtensor.tensor([1.0, 0.0]), reduction="sum")
    loss.backward()
    assert loss.item() == 2e4 and logits.grad.tolist() == [-1, 1]
    probabilities = devtensor.tensor([0.0, 1.0], requires_grad=True)
    F.binary_cross_entropy(probabilities, devtensor.tensor([1.0, 1.0]), reduction="sum").backward()
    assert np.isfinite(numbers(probabilities.grad)).all()


def test_gumbel_softmax():
    devtensor.manual_seed(0)
    logits = devtensor.tensor([[1.0, 2.0, 0.5]] * 4000, requires_grad=True)
    hard = F.gumbel_softmax(logits, hard=True)
    share = numbers(hard).round().mean(0)
    np.testing.assert_allclose(share, softmax(np.array([[1.0, 2.0, 0.5]]))[0], atol=0.03)
    np.testing.assert_allclose(numbers(hard).sum(1), 1, atol=1e-6)
    (hard[:, 0].sum()).backward()
    assert np.abs(numbers(logits.grad)).max() > 0
    soft = F.gumbel_softmax(logits.half(), tau=0.5, dim=-1)
    assert np.isfinite(numbers(soft)).all()


def test_max_pool_gives_places():
    x = devtensor.tensor([[[1.0, 3.0, 3.0, float("nan"), 0.0, 5.0]]])
    values, places = F.max_pool1d(x, 2, return_indices=True)
    assert (
        places.tolist() == [[[1, 3, 5]]] and values[0, 0, 0].item() == 3 and np.isnan(values[0, 0, 1].item())
    )
    assert F.max_pool2d(devtensor.full((1, 1, 2, 2), -math.inf), 2, 2, 1, return_indices=True)[
        1
    ].tolist() == [[[[0, 1], [2, 3]]]]


def test_sizes_that_differ_are_spoken_of():
    x, y = devtensor.ones(3, 1), devtensor.ones(3)
    with pytest.warns(UserWarning, match="different to the input size"):
        F.mse_loss(x, y)
    with pytest.raises(ArgumentError, match="must be the same as input size"):
        F.binary_cross_entropy_with_logits(x, y)


def _labels(*values):
    return devtensor.tensor(values)


ERRORS = {
    "batch_size": (ArgumentError, lambda: F.cross_entropy(devtensor.ones(2, 3), _labels(1, 2, 0))),
    "Expected target size": (ShapeError, lambda: F.nll_loss(devtensor.ones(2, 3, 4), _labels([1], [0]))),
    "not a valid value for reduction": (
        ArgumentError,
        lambda: F.cross_entropy(devtensor.ones(2, 3), _labels(1, 2), reduction="most"),
    ),
    "must be between 0.0 and 1.0": (
        ArgumentError,
        lambda: F.cross_entropy(devtensor.ones(2, 3), _labels(1, 2), label_smoothing=2.0),
    ),
    "Expected floating point type": (
        DTypeError,
        lambda: F.cross_entropy(devtensor.ones(2, 2), _labels([1, 0], [0, 1])),
    ),
    "index tensor of type int64": (DTypeError, lambda: F.one_hot(devtensor.ones(2))),
    "Can not infer": (ShapeError, lambda: F.one_hot(devtensor.zeros(0, dtype=devtensor.int64))),
    "divisible by 2": (ArgumentError, lambda: F.pad(devtensor.ones(2), (1,))),
    "Unrecognised padding mode": (Unsupported, lambda: F.pad(devtensor.ones(2), (1, 1), "odd")),
    "running_mean and running_var to be defined": (
        ArgumentError,
        lambda: F.batch_norm(devtensor.ones(2, 3), None, None),
    ),
    "GPUs alone": (Unsupported, lambda: F.scaled_mm(devtensor.ones(2, 2), devtensor.ones(2, 2))),
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text):
    kind, call = ERRORS[text]
    with pytest.raises(kind, match=text):
        call()


def test_a_target_that_is_no_class_is_refused():
    for target in (3, -1):
        with pytest.raises(IndexError):
            F.cross_entropy(devtensor.ones(1, 3), _labels(target))


def test_a_target_out_of_bounds_names_the_loss_first():
    with pytest.raises(IndexError, match=r"^\[cross_entropy\] Target 7 is out of bounds for 3 classes"):
        F.cross_entropy(devtensor.zeros(2, 3), devtensor.tensor([0, 7]))


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("given", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("bias", ["float64", "float32", "bfloat16", "int64"])
def test_the_bias_of_a_transposed_convolution_follows_lines_and_planes(dims, given, bias):
    function = getattr(F, f"conv_transpose{dims}d")
    ones = devtensor.ones(1, 2, *(3,) * dims, dtype=getattr(devtensor, given))
    added = devtensor.tensor([1, 2]).to(getattr(devtensor, bias))
    if given != bias and (dims == 3 or given == "bfloat16"):
        with pytest.raises(RuntimeError, match="bias type"):
            function(ones, ones.expand(2, -1, *ones.shape[2:]), added)
        return
    found = function(ones, ones.expand(2, -1, *ones.shape[2:]), added)
    plain = function(ones, ones.expand(2, -1, *ones.shape[2:]))
    assert found.dtype is ones.dtype
    assert devtensor.equal(found - plain, added.to(ones.dtype).view(2, *(1,) * dims).expand_as(plain))
