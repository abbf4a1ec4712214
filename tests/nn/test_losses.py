"""Losses with margins, likelihoods and sequences, written out with NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

import devtensor
import devtensor.nn.functional as F
from devtensor import nn
from devtensor.autograd import gradcheck, gradgradcheck
from devtensor.core.errors import ArgumentError, DTypeError, IndexingError, ShapeError

RNG = np.random.default_rng(0)
X, Y, Z = RNG.normal(size=(3, 4, 5))
SIGNS = np.where(RNG.random((4, 5)) < 0.5, -1.0, 1.0)
LABELS = np.array([1, 4, 0, 1])
W = RNG.uniform(0.5, 2.0, size=5)


def tensor(array):
    return devtensor.tensor(np.asarray(array))


def numbers(value) -> np.ndarray:
    return np.array(value.detach().tolist()).reshape(tuple(value.shape))


def length(x, p=2.0):
    return (np.abs(x) ** p).sum(-1) ** (1 / p)


def above(x):
    return np.maximum(x, 0)


def multi_margin(p=1, margin=1.0, weight=None):
    found = []
    for row, label in zip(X, LABELS, strict=True):
        terms = [above(margin - row[label] + v) ** p for c, v in enumerate(row) if c != label]
        found.append(sum(terms) * (1 if weight is None else weight[label]) / 5)
    return np.array(found)


def multilabel(listed):
    found = []
    for row, labels in zip(X, listed, strict=True):
        wanted = [int(c) for c in labels[: list(labels).index(-1) if -1 in labels else 5]]
        found.append(
            sum(above(1 - (row[w] - row[c])) for w in wanted for c in range(5) if c not in wanted) / 5
        )
    return np.array(found)


LISTED = np.array([[1, 3, -1, 0, 0], [-1, 1, 1, 1, 1], [4, -1, 2, 2, 2], [0, 1, 2, 3, 4]])


def cosine(a, b):
    return (a * b).sum(-1) / length(a) / length(b)


VALUES = {
    "hinge_embedding": (
        lambda: F.hinge_embedding_loss(tensor(X), tensor(SIGNS), margin=0.7),
        lambda: np.where(SIGNS > 0, X, above(0.7 - X)).mean(),
    ),
    "margin_ranking": (
        lambda: F.margin_ranking_loss(tensor(X), tensor(Y), tensor(SIGNS), 0.3, reduction="sum"),
        lambda: above(-SIGNS * (X - Y) + 0.3).sum(),
    ),
    "cosine_embedding": (
        lambda: F.cosine_embedding_loss(tensor(X), tensor(Y), tensor(SIGNS[:, 0]), 0.1, reduction="none"),
        lambda: np.where(SIGNS[:, 0] > 0, 1 - cosine(X, Y), above(cosine(X, Y) - 0.1)),
    ),
    "soft_margin": (
        lambda: F.soft_margin_loss(tensor(X), tensor(SIGNS)),
        lambda: np.log1p(np.exp(-SIGNS * X)).mean(),
    ),
    "multi_margin": (lambda: F.multi_margin_loss(tensor(X), tensor(LABELS)), lambda: multi_margin().mean()),
    "multi_margin, squares": (
        lambda: F.multi_margin_loss(tensor(X), tensor(LABELS), 2, 0.5, tensor(W), reduction="none"),
        lambda: multi_margin(2, 0.5, W),
    ),
    "multi_margin of one": (
        lambda: F.multi_margin_loss(tensor(X[0]), tensor(1), reduction="none"),
        lambda: multi_margin()[0],
    ),
    "multilabel_margin": (
        lambda: F.multilabel_margin_loss(tensor(X), tensor(LISTED), reduction="none"),
        lambda: multilabel(LISTED),
    ),
    "multilabel_soft_margin": (
        lambda: F.multilabel_soft_margin_loss(tensor(X), tensor(SIGNS > 0).double(), tensor(W)),
        lambda: (np.log1p(np.exp(-SIGNS * X)) * W).mean(),
    ),
    "triplet": (
        lambda: F.triplet_margin_loss(tensor(X), tensor(Y), tensor(Z), 2.0, p=3, reduction="none"),
        lambda: above(length(X - Y + 1e-6, 3) - length(X - Z + 1e-6, 3) + 2),
    ),
    "triplet, swapped": (
        lambda: F.triplet_margin_loss(tensor(X), tensor(Y), tensor(Z), swap=True, reduction="sum"),
        lambda: above(
            length(X - Y + 1e-6) - np.minimum(length(X - Z + 1e-6), length(Y - Z + 1e-6)) + 1
        ).sum(),
    ),
    "triplet with a distance": (
        lambda: F.triplet_margin_with_distance_loss(
            tensor(X), tensor(Y), tensor(Z), distance_function=lambda a, b: (a - b).abs().sum(-1)
        ),
        lambda: above(np.abs(X - Y).sum(-1) - np.abs(X - Z).sum(-1) + 1).mean(),
    ),
    "poisson": (
        lambda: F.poisson_nll_loss(tensor(X), tensor(np.abs(Y) * 3), full=True),
        lambda: (np.exp(X) - np.abs(Y) * 3 * X + stirling(np.abs(Y) * 3)).mean(),
    ),
    "poisson of rates": (
        lambda: F.poisson_nll_loss(tensor(np.abs(X)), tensor(Y), log_input=False),
        lambda: (np.abs(X) - Y * np.log(np.abs(X) + 1e-8)).mean(),
    ),
    "gaussian": (
        lambda: F.gaussian_nll_loss(tensor(X), tensor(Y), tensor(W[:4]), full=True, reduction="none"),
        lambda: 0.5 * (np.log(W[:4, None]) + (X - Y) ** 2 / W[:4, None]) + math.log(2 * math.pi) / 2,
    ),
    "gaussian of one variance": (
        lambda: F.gaussian_nll_loss(tensor(X), tensor(Y), 0.0),
        lambda: 0.5 * (math.log(1e-6) + (X - Y) ** 2 / 1e-6).mean(),
    ),
    "linear_cross_entropy": (
        lambda: F.linear_cross_entropy(tensor(X), tensor(Y), tensor(LABELS % 4), ignore_index=0),
        lambda: numbers(F.cross_entropy(tensor(X @ Y.T), tensor(LABELS % 4), ignore_index=0)),
    ),
    "pdist": (
        lambda: F.pdist(tensor(X), 3.0),
        lambda: [length(X[i] - X[j], 3.0) for i in range(4) for j in range(i + 1, 4)],
    ),
}


def stirling(x):
    return np.where(x > 1, x * np.log(np.where(x > 1, x, 1)) - x + 0.5 * np.log(2 * math.pi * x), 0)


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    call, wanted = VALUES[name]
    np.testing.assert_allclose(numbers(call()), wanted(), 1e-6)


def logits(seed=0, shape=(6, 2, 4)):
    return tensor(np.random.default_rng(seed).normal(size=shape)).requires_grad_()


def test_ctc_in_all_its_spellings():
    logs = logits().detach().log_softmax(-1)
    targets = devtensor.tensor([[1, 2, 2], [3, 1, 0]])
    each = F.ctc_loss(logs, targets, (6, 5), (3, 2), reduction="none")
    in_a_row = devtensor.tensor([1, 2, 2, 3, 1])
    same = F.ctc_loss(logs, in_a_row, devtensor.tensor([6, 5]), devtensor.tensor([3, 2]), reduction="none")
    np.testing.assert_allclose(numbers(same), numbers(each), 1e-12)
    first = F.ctc_loss(logs[:, 0], targets[0], (6,), (3,), reduction="none")
    assert first.shape == () and abs(first.item() - each[0].item()) < 1e-12
    mean = F.ctc_loss(logs, targets, (6, 5), (3, 2))
    assert abs(mean.item() - (each[0].item() / 3 + each[1].item() / 2) / 2) < 1e-12
    assert abs(nn.CTCLoss(reduction="sum")(logs, targets, (6, 5), (3, 2)).item() - each.sum().item()) < 1e-12


def test_ctc_differentiates_logits():
    targets, lengths = (
        devtensor.tensor([[1, 2], [3, 3]]),
        (devtensor.tensor([6, 4]), devtensor.tensor([2, 2])),
    )

    def loss(x):
        return F.ctc_loss(x.log_softmax(-1), targets, *lengths, reduction="none")

    assert gradcheck(loss, (logits(),))


def test_ctc_forgives_what_cannot_be():
    x = logits(shape=(2, 2, 4))
    targets = devtensor.tensor([[1, 1], [2, 3]])
    strict = F.ctc_loss(x.log_softmax(-1), targets, (2, 2), (2, 2), reduction="none")
    assert strict[0].item() == math.inf and strict[1].item() < math.inf
    logs = x.log_softmax(-1)
    logs.retain_grad()
    F.ctc_loss(logs, targets, (2, 2), (2, 2), reduction="sum", zero_infinity=True).backward()
    for gradient in (numbers(logs.grad), numbers(x.grad)):
        assert not gradient[:, 0].any() and np.isfinite(gradient).all() and gradient[:, 1].any()


SMOOTH = {
    "cosine_embedding": lambda x, y: F.cosine_embedding_loss(x, y, tensor(SIGNS[:, 0])),
    "soft_margin": lambda x, y: F.soft_margin_loss(x, tensor(SIGNS)) + y.sum() * 0,
    "triplet": lambda x, y: F.triplet_margin_loss(x, y, tensor(Z), 5.0),
    "gaussian": lambda x, y: F.gaussian_nll_loss(x, tensor(Z), y.exp()),
    "pdist": lambda x, y: F.pdist(x) * F.pdist(y),
    "linear_cross_entropy": lambda x, y: F.linear_cross_entropy(x, y, tensor(LABELS % 4)),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    inputs = tensor(X).requires_grad_(), tensor(Y).requires_grad_()
    assert gradcheck(SMOOTH[name], inputs) and gradgradcheck(SMOOTH[name], inputs)


def ones(*shape):
    return devtensor.ones(*shape)


ERRORS = {
    "only p == 1 and p == 2": (ArgumentError, lambda: F.multi_margin_loss(ones(2, 3), ones(2).long(), p=3)),
    "inconsistent target size": (ShapeError, lambda: F.multi_margin_loss(ones(2, 3), ones(3).long())),
    "should have same dim": (ShapeError, lambda: F.margin_ranking_loss(ones(2, 3), ones(3), ones(3))),
    "0D or 1D target": (ShapeError, lambda: F.cosine_embedding_loss(ones(2, 3), ones(2, 3), ones(2, 1))),
    "margin must be greater than 0": (
        ArgumentError,
        lambda: F.triplet_margin_loss(ones(2, 3), ones(2, 3), ones(2, 3), margin=0),
    ),
    "var has negative": (ArgumentError, lambda: F.gaussian_nll_loss(ones(2), ones(2), -ones(2))),
    "var is of incorrect size": (ArgumentError, lambda: F.gaussian_nll_loss(ones(2, 3), ones(2, 3), ones(4))),
    "blank must be in label range": (
        ShapeError,
        lambda: F.ctc_loss(ones(3, 1, 2), ones(1, 1).long(), (3,), (1,), blank=2),
    ),
    "value at most 3": (ShapeError, lambda: F.ctc_loss(ones(3, 1, 2), ones(1, 1).long(), (4,), (1,))),
    "be of size batch_size": (ShapeError, lambda: F.ctc_loss(ones(3, 2, 2), ones(2, 1).long(), (3,), (1, 1))),
    "must be integral": (
        DTypeError,
        lambda: F.ctc_loss(ones(3, 1, 2), ones(1, 1).long(), ones(1) * 3, devtensor.tensor([1])),
    ),
    "Target 9 is out of bounds": (IndexingError, lambda: F.nll_loss(ones(2, 3), devtensor.tensor([0, 9]))),
    "Long or Byte": (DTypeError, lambda: F.nll_loss(ones(2, 3), ones(2))),
    "between 0 and 1": (ArgumentError, lambda: F.binary_cross_entropy(ones(2) * 2, ones(2))),
}


@pytest.mark.parametrize("text", ERRORS)
def test_errors(text):
    kind, call = ERRORS[text]
    with pytest.raises(kind, match=text):
        call()


def test_layers_are_their_functions():
    x, y, z, signs = (tensor(a) for a in (X, Y, Z, SIGNS))
    pairs = (
        (nn.HingeEmbeddingLoss(0.5)(x, signs), F.hinge_embedding_loss(x, signs, 0.5)),
        (nn.MarginRankingLoss(0.2)(x, y, signs), F.margin_ranking_loss(x, y, signs, 0.2)),
        (nn.TripletMarginLoss(p=1)(x, y, z), F.triplet_margin_loss(x, y, z, p=1)),
        (nn.MultiMarginLoss(2)(x, tensor(LABELS)), F.multi_margin_loss(x, tensor(LABELS), 2)),
        (nn.PoissonNLLLoss(full=True)(x, y), F.poisson_nll_loss(x, y, full=True)),
        (nn.GaussianNLLLoss()(x, y, z.exp()), F.gaussian_nll_loss(x, y, z.exp())),
    )
    for found, wanted in pairs:
        assert found.item() == wanted.item()


def test_adaptive_log_softmax_is_a_distribution():
    devtensor.manual_seed(0)
    layer = nn.AdaptiveLogSoftmaxWithLoss(6, 12, [3, 7], div_value=2.0).double()
    x, target = tensor(RNG.normal(size=(5, 6))), devtensor.tensor([0, 2, 5, 11, 7])
    logs = layer.log_prob(x)
    np.testing.assert_allclose(np.exp(numbers(logs)).sum(1), 1, 1e-12)
    found = layer(x, target)
    np.testing.assert_allclose(numbers(found.output), numbers(logs)[np.arange(5), [0, 2, 5, 11, 7]], 1e-12)
    assert abs(found.loss.item() + numbers(found.output).mean()) < 1e-12
    assert layer.predict(x).tolist() == numbers(logs).argmax(1).tolist()
    with pytest.raises(ArgumentError, match="sorted in an increasing order"):
        nn.AdaptiveLogSoftmaxWithLoss(6, 12, [7, 3])


@pytest.mark.parametrize("loss", [F.huber_loss, F.soft_margin_loss])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("given", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("wanted", ["bfloat16", "float16", "float64"])
def test_losses_in_the_dtype_of_their_input(loss, reduction, given, wanted):
    x, y = (tensor(a).to(getattr(devtensor, d)).requires_grad_() for a, d in ((X, given), (SIGNS, wanted)))
    found = loss(x, y, reduction=reduction)
    exact = loss(x.detach().double(), y.detach().double(), reduction=reduction)
    assert found.dtype is x.dtype
    np.testing.assert_allclose(numbers(found.double()), numbers(exact), rtol=2e-2)
    found.sum().backward()
    assert [x.grad.dtype, y.grad.dtype] == [x.dtype, y.dtype]
    with devtensor.autocast("cpu"):
        assert loss(x, y, reduction=reduction).dtype is devtensor.float32
        assert loss(x.double(), y, reduction=reduction).dtype is devtensor.float64


@pytest.mark.parametrize("loss", [F.huber_loss, F.soft_margin_loss])
def test_losses_of_integers_hold_no_fractions(loss):
    with pytest.raises(RuntimeError, match=r"can't be cast to int64|not implemented for int64"):
        loss(devtensor.tensor([1, 2]), devtensor.tensor([0.5, 1.0]))
