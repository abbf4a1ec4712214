"""PyTorch's spellings against NumPy: values, shapes, views and the results' order."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

import devtensor as torch
from devtensor.autograd import gradcheck

rng = np.random.default_rng(3)
X, Y = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
Z = rng.normal(size=(2, 3, 4))
K = rng.integers(0, 5, (3, 4))
N = np.where(rng.random((3, 4)) < 0.3, np.nan, X)
LINE = np.sort(rng.normal(size=6))
x, y, z, i, n, line = (torch.tensor(a) for a in (X, Y, Z, K, N, LINE))

CASES = {
    # Shapes.
    "flatten": (z.flatten(1), Z.reshape(2, 12)),
    "movedim": (z.movedim(0, 2), np.moveaxis(Z, 0, 2)),
    "movedim of two": (z.movedim((0, 1), (2, 0)), np.moveaxis(Z, (0, 1), (2, 0))),
    "squeeze": (x[None, :, None].squeeze(), X),
    "squeeze of one": (x[None, :, None].squeeze(0), X[:, None]),
    "unflatten": (x.unflatten(1, (2, -1)), X.reshape(3, 2, 2)),
    "repeat": (x.repeat(2, 1, 3), np.tile(X, (2, 1, 3))),
    "tile": (x.tile(2), np.tile(X, 2)),
    "expand": (x[:, None].expand(3, 2, -1), np.broadcast_to(X[:, None], (3, 2, 4))),
    "flip": (z.flip(0, 2), np.flip(Z, (0, 2))),
    "roll": (x.roll((1, -2), (0, 1)), np.roll(X, (1, -2), (0, 1))),
    "roll flat": (x.roll(3), np.roll(X, 3)),
    "rot90": (torch.rot90(x, 3), np.rot90(X, 3)),
    "narrow": (x.narrow(1, -3, 2), X[:, 1:3]),
    "diag of a vector": (torch.diag(x[0], 1), np.diag(X[0], 1)),
    "diag of a matrix": (torch.diag(x, -1), np.diag(X, -1)),
    "tril": (z.tril(-1), np.tril(Z, -1)),
    "triu": (z.triu(1), np.triu(Z, 1)),
    # Joining.
    "cat": (torch.cat([x, y], 1), np.concatenate([X, Y], 1)),
    "cat skips empty": (torch.cat([torch.zeros(0), x]), X),
    "stack": (torch.stack([x, y], -1), np.stack([X, Y], -1)),
    "hstack": (torch.hstack([x[0], y[0]]), np.hstack([X[0], Y[0]])),
    "vstack": (torch.vstack([x[0], y]), np.vstack([X[0], Y])),
    "dstack": (torch.dstack([x, y]), np.dstack([X, Y])),
    "column_stack": (torch.column_stack([x[:, 0], y]), np.column_stack([X[:, 0], Y])),
    "split": (x.split(3, 1), [X[:, :3], X[:, 3:]]),
    "split by sizes": (x.split([1, 2]), [X[:1], X[1:]]),
    "chunk": (x.chunk(3, 1), [X[:, :2], X[:, 2:]]),
    "tensor_split": (x.tensor_split(3, 1), np.array_split(X, 3, 1)),
    "tensor_split at": (x.tensor_split((1, 3), 1), np.split(X, (1, 3), 1)),
    "unbind": (x.unbind(1), list(X.T)),
    "meshgrid": (torch.meshgrid(line, line[:2], indexing="ij"), np.meshgrid(LINE, LINE[:2], indexing="ij")),
    "meshgrid xy": (torch.meshgrid(line, line[:2], indexing="xy"), np.meshgrid(LINE, LINE[:2])),
    "repeat_interleave": (x.repeat_interleave(2, 1), np.repeat(X, 2, 1)),
    "repeat_interleave each": (x.repeat_interleave(torch.tensor([0, 2, 1]), 0), np.repeat(X, [0, 2, 1], 0)),
    "block_diag": (
        torch.block_diag(x[:1], y[:1, :2]),
        np.block([[X[:1], np.zeros((1, 2))], [np.zeros((1, 4)), Y[:1, :2]]]),
    ),
    # Reductions.
    "sum": (z.sum((0, 2), keepdim=True), Z.sum((0, 2), keepdims=True)),
    "sum of bools": ((x > 0).sum(), (X > 0).sum()),
    "mean": (z.mean(-1), Z.mean(-1)),
    "std": (z.std(), Z.std(ddof=1)),
    "std of a dim": (z.std(1, unbiased=False), Z.std(1)),
    "var": (z.var((0, 1), correction=2), Z.var((0, 1), ddof=2)),
    "std_mean": (torch.std_mean(x, 0), [X.std(0, ddof=1), X.mean(0)]),
    "max": (x.max(), X.max()),
    "max of a dim": (tuple(x.max(1)), [X.max(1), X.argmax(1)]),
    "min of a dim": (tuple(x.min(0, keepdim=True)), [X.min(0, keepdims=True), X.argmin(0)[None]]),
    "max of two": (torch.max(x, y), np.maximum(X, Y)),
    "argmax": (x.argmax(), X.argmax()),
    "prod": (z.prod(1), Z.prod(1)),
    "cumsum": (x.cumsum(1), X.cumsum(1)),
    "cumprod": (x.cumprod(0), X.cumprod(0)),
    "nansum": (n.nansum(0), np.nansum(N, 0)),
    "nanmean": (n.nanmean(), np.nanmean(N)),
    "count_nonzero": (torch.count_nonzero(i, 0), np.count_nonzero(K, 0)),
    "logsumexp": (z.logsumexp((0, 2)), special.logsumexp(Z, (0, 2))),
    "logcumsumexp": (torch.logcumsumexp(x, 1), np.log(np.cumsum(np.exp(X), 1))),
    "norm": (x.norm(), np.linalg.norm(X)),
    "norm 1": (x.norm(1, 0), np.abs(X).sum(0)),
    "norm 3": (x.norm(3, 1), (np.abs(X) ** 3).sum(1) ** (1 / 3)),
    "norm inf": (x.norm(float("inf"), 1, True), np.abs(X).max(1, keepdims=True)),
    "any": ((x > 1).any(1), (X > 1).any(1)),
    "all": ((x > -1).all(0, keepdim=True), (X > -1).all(0, keepdims=True)),
    "median": (line.median(), LINE[2]),
    "quantile": (x.quantile(torch.tensor([0.1, 0.8], dtype=torch.float64), 1), np.quantile(X, [0.1, 0.8], 1)),
    "nanquantile": (n.nanquantile(0.4, 1), np.nanquantile(N, 0.4, 1)),
    # Order.
    "sort": (tuple(x.sort(1)), [np.sort(X, 1), np.argsort(X, 1)]),
    "sort descending": (x.sort(0, descending=True)[0], -np.sort(-X, 0)),
    "argsort": (x.argsort(), np.argsort(X)),
    "topk": (x.topk(2, 0, largest=False)[0], np.sort(X, 0)[:2]),
    "kthvalue": (x.kthvalue(3)[0], np.sort(X, 1)[:, 2]),
    "unique": (
        i.unique(return_inverse=True, return_counts=True),
        list(np.unique(K, return_inverse=True, return_counts=True)),
    ),
    "unique rows": (i.unique(dim=0), np.unique(K, axis=0)),
    "searchsorted": (torch.searchsorted(line, x), np.searchsorted(LINE, X)),
    "bucketize": (torch.bucketize(x, line, right=True), np.searchsorted(LINE, X, "right")),
    "isin": (torch.isin(i, i[0, :2]), np.isin(K, K[0, :2])),
    "bincount": (torch.bincount(i.flatten(), minlength=9), np.bincount(K.ravel(), minlength=9)),
    "histc": (torch.histc(x, 5, -1, 1), np.histogram(X, 5, (-1, 1))[0]),
    "diff": (x.diff(2, 1), np.diff(X, 2, 1)),
    "cummax": (torch.cummax(x, 1)[0], np.maximum.accumulate(X, 1)),
    "cummin": (torch.cummin(x, 0)[0], np.minimum.accumulate(X, 0)),
    "trapezoid": (torch.trapezoid(x, dx=0.5), np.trapezoid(X, dx=0.5)),
    # Number by number.
    "clamp": (x.clamp(-0.5, 0.5), X.clip(-0.5, 0.5)),
    "clamp between tensors": (x.clamp(y, y + 0.5), X.clip(Y, Y + 0.5)),
    "add": (x.add(y, alpha=2), X + 2 * Y),
    "div floor": (x.div(y, rounding_mode="floor"), np.floor(X / Y)),
    "div trunc": ((i - 2).div(3, rounding_mode="trunc"), np.trunc((K - 2) / 3).astype(int)),
    "lerp": (x.lerp(y, 0.7), X + 0.7 * (Y - X)),
    "addcmul": (torch.addcmul(x, y, y, value=2), X + 2 * Y * Y),
    "addcdiv": (torch.addcdiv(x, y, y * y + 1, value=0.5), X + 0.5 * Y / (Y * Y + 1)),
    "where": (torch.where(x > 0, x, 0.0), np.where(X > 0, X, 0.0)),
    "masked_fill": (x.masked_fill(x > 0, 7), np.where(X > 0, 7, X)),
    "nan_to_num": (torch.nan_to_num(n, 2.0), np.nan_to_num(N, nan=2.0)),
    "round": (x.round(decimals=2), X.round(2)),
    "logit": (x.sigmoid().logit(), X),
    "logaddexp": (torch.logaddexp(x, y), np.logaddexp(X, Y)),
    "softmax": (x.softmax(1), special.softmax(X, 1)),
    "heaviside": (torch.heaviside(i.double() - 2, y), np.heaviside(K - 2.0, Y)),
    "isclose": (torch.isclose(n, n + 1e-10, equal_nan=True), np.isclose(N, N + 1e-10, equal_nan=True)),
    # Products.
    "outer": (torch.outer(x[0], y[1]), np.outer(X[0], Y[1])),
    "addmm": (torch.addmm(x[:, :3], x, y.T, beta=0.5, alpha=2), 0.5 * X[:, :3] + 2 * X @ Y.T),
    "tensordot": (torch.tensordot(z, x, ([1, 2], [0, 1])), np.tensordot(Z, X, ([1, 2], [0, 1]))),
    "kron": (torch.kron(x, y), np.kron(X, Y)),
    "trace": (torch.trace(x), np.trace(X)),
    "cross": (torch.cross(x.T, y.T, dim=1), np.cross(X.T, Y.T)),
    "cdist": (torch.cdist(x, y), np.sqrt(((X[:, None] - Y) ** 2).sum(-1))),
    "inner": (torch.inner(z, x), np.inner(Z, X)),
    # Selecting.
    "take": (x.take(torch.tensor([5, 0])), X.take([5, 0])),
    "gather": (x.gather(1, x.argsort(1)), np.sort(X, 1)),
    "take_along_dim": (torch.take_along_dim(x, x.argsort(0), 0), np.sort(X, 0)),
    "masked_select": (x.masked_select(x > 0), X[X > 0]),
    "nonzero": (i.nonzero(), np.argwhere(K)),
    "nonzero as tuple": (torch.nonzero(i, as_tuple=True), list(np.nonzero(K))),
    "where alone": (torch.where(i > 2), list(np.nonzero(K > 2))),
    "index_add": (
        x.index_add(0, torch.tensor([0, 0]), y[:2], alpha=2),
        X + 2 * np.outer([1, 0, 0], Y[0] + Y[1]),
    ),
    # From nothing.
    "arange": (torch.arange(2, 9, 3), np.arange(2, 9, 3)),
    "arange down": (torch.arange(1.0, -1, -0.5), np.arange(1.0, -1, -0.5)),
    "linspace": (torch.linspace(-1, 2, 7, dtype=torch.float64), np.linspace(-1, 2, 7)),
    "logspace": (torch.logspace(-1, 1, 5, dtype=torch.float64), np.logspace(-1, 1, 5)),
    "eye": (torch.eye(2, 3), np.eye(2, 3)),
    "tril_indices": (torch.tril_indices(3, 4, 1), np.stack(np.tril_indices(3, 1, 4))),
    "hann_window": (torch.hann_window(8, False, dtype=torch.float64), np.hanning(8)),
    "hamming_window": (torch.hamming_window(8, False, dtype=torch.float64), np.hamming(8)),
}


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    ours, expected = CASES[name]
    pairs = zip(ours, expected, strict=True) if isinstance(ours, tuple) else [(ours, expected)]
    for found, wanted in pairs:
        assert tuple(found.shape) == np.shape(wanted)
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-12, atol=1e-12)


EQUATIONS = {
    "ij,kj->ik": "XY",
    "ij->j": "X",
    "ij,ij->": "XY",
    "bij,bkj->bik": "ZZ",
    "...ij,...kj->...ik": "ZZ",
    "ij->ji": "X",
    "b...->...": "Z",
    "ij,ij->ij": "XY",
    "ij,kj": "XY",
    "bij,ij->b": "ZX",
    "ij,bij,kj->bk": "XZY",
    "ij,kl->ijkl": "XY",
    "bij->": "Z",
    "aij,bij->ab": "ZZ",
}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum(equation):
    arrays = [{"X": X, "Y": Y, "Z": Z}[name] for name in EQUATIONS[equation]]
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    np.testing.assert_allclose(
        torch.einsum(equation, *tensors).detach().numpy(), np.einsum(equation, *arrays), rtol=1e-12
    )
    assert gradcheck(lambda *t: torch.einsum(equation, *t), tuple(tensors))


def test_einsum_of_a_diagonal_and_in_the_other_form():
    square = torch.tensor(X[:, :3])
    assert torch.einsum("ii", square) == square.trace()
    np.testing.assert_array_equal(torch.einsum("ii->i", square).numpy(), np.diag(X[:, :3]))
    np.testing.assert_allclose(torch.einsum(x, [0, 1], y, [2, 1], [0, 2]).numpy(), X @ Y.T)
    for equation, tensors in (
        ("ij,jk", (x,)),
        ("i", (x,)),
        ("ij->k", (x,)),
        ("i!", (x,)),
        ("ij,ij", (x, x.T)),
    ):
        with pytest.raises((ValueError, RuntimeError), match=r"\[einsum\]"):
            torch.einsum(equation, *tensors)


VIEWS = {
    "view": lambda t: t.view(4, 3),
    "reshape": lambda t: t.reshape(-1),
    "transpose": lambda t: t.t(),
    "T": lambda t: t.T,
    "permute": lambda t: t.permute(1, 0),
    "squeeze": lambda t: t.squeeze(),
    "unsqueeze": lambda t: t.unsqueeze(1),
    "narrow": lambda t: t.narrow(0, 0, 1),
    "select": lambda t: t.select(1, 0),
    "split": lambda t: t.split(1)[0],
    "chunk": lambda t: t.chunk(2)[0],
    "unbind": lambda t: t.unbind()[0],
    "diagonal": lambda t: t.diagonal(),
    "expand": lambda t: t.expand(2, 3, 4),
    "flatten": lambda t: t.flatten(),
    "movedim": lambda t: t.movedim(0, 1),
    "unflatten": lambda t: t.unflatten(0, (3, 1)),
    "detach": lambda t: t.detach(),
    "view_as": lambda t: t.view_as(t),
    "unfold": lambda t: t.unfold(0, 2, 1),
    "swapaxes": lambda t: t.swapaxes(0, 1),
    "mT": lambda t: t.mT,
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_memory(name):
    base = torch.tensor(X)
    part = VIEWS[name](base)
    base.fill_(5)
    assert (part == 5).all()


def test_in_place_changes_of_shape():
    a = torch.tensor(X)
    view = a.view(-1)
    assert a.t_().shape == (4, 3)
    a.unsqueeze_(0).squeeze_(0)
    a += 1
    np.testing.assert_allclose(view.numpy(), X.ravel() + 1)


def test_the_gradient_of_a_maximum_goes_to_one_element():
    a = torch.tensor([1.0, 3.0, 3.0], requires_grad=True)
    a.max(0).values.backward()
    assert a.grad.tolist() == [0, 1, 0]
    a.grad = None
    a.max().backward()
    assert a.grad.tolist() == [0, 0.5, 0.5]


@pytest.mark.parametrize(
    "function", [lambda t: t.norm(), lambda t: t.std(), lambda t: torch.cdist(t, t).sum()]
)
def test_roots_of_zero_have_gradient_zero(function):
    a = torch.zeros(2, 3, requires_grad=True)
    function(a).backward()
    assert a.grad.abs().sum() == 0


BAD = {
    "view of a transpose": (lambda: x.T.view(-1), "use .reshape"),
    "sizes that do not fit": (lambda: x.reshape(5, -1), "reshape"),
    "cat of nothing": (lambda: torch.cat([]), "non-empty list"),
    "cat of different shapes": (lambda: torch.cat([x, z]), "cat"),
    "stack of different shapes": (lambda: torch.stack([x, x[0]]), "equal size"),
    "split sizes": (lambda: x.split([1, 1]), "sum exactly to 3"),
    "too many for topk": (lambda: x.topk(9), "out of range"),
    "max of nothing": (lambda: torch.zeros(0).max(), "non-zero size"),
    "a matrix for mv": (lambda: torch.mv(x, x), "expected 2D and 1D"),
    "dims named twice": (lambda: x.permute(0, 0), "named once"),
    "no limits": (lambda: x.clamp(), "At least one of"),
    "step of zero": (lambda: torch.arange(0, 1, 0), "nonzero"),
    "wrong way": (lambda: torch.arange(0, 5, -1), "inconsistent"),
    "mean of ints": (lambda: i.float().long().mean(), "mean"),
    "dtypes differ": (lambda: torch.allclose(x, x.float()), "did not match"),
    "integer to a negative power": (lambda: torch.pow(i, -1), "negative integer powers"),
    "short repeat": (lambda: x.repeat(2), "can not be smaller"),
    "past the end": (lambda: x.narrow(0, 2, 2), "exceeds dimension size"),
}


@pytest.mark.parametrize("name", BAD)
def test_messages(name):
    call, message = BAD[name]
    with pytest.raises(torch.core.errors.DevtensorError, match=message):
        call()


def test_half_norms_and_means_do_not_overflow_on_the_way():
    assert torch.full((70000,), 1.0, dtype=torch.float16).mean().item() == 1.0
    assert torch.tensor([300.0, 300.0], dtype=torch.float16).norm().item() == 424.25
