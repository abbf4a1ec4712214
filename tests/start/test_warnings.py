"""What PyTorch warns of is warned of, at the user's line, however deep in the package it was noticed."""

from __future__ import annotations

import warnings

import pytest

import devtensor as torch
import devtensor.nn.functional as F
from devtensor import nn

X = torch.ones(4, 3)
COLUMN = torch.ones(4, 1)
PICTURE = torch.ones(1, 1, 2, 2)

WARNED = {
    "a loss of two sizes": (lambda: F.mse_loss(X, COLUMN), "target size"),
    "a loss of two sizes, as a layer": (lambda: nn.SmoothL1Loss()(X, COLUMN), "target size"),
    "size_average": (lambda: F.l1_loss(X, X, size_average=False), "reduction='sum'"),
    "reduce, as a layer": (lambda: nn.CrossEntropyLoss(reduce=False), "reduction='none'"),
    "kl_div, mean": (lambda: F.kl_div(X, X), "batchmean"),
    "softmax without a dim": (lambda: F.softmax(X), "dim=1"),
    "softmin without a dim": (lambda: nn.Softmin()(X[None]), "dim=0"),
    "log_softmax without a dim": (lambda: nn.LogSoftmax()(X), "Implicit dimension choice for log_softmax"),
    "dropout2d of a matrix": (lambda: nn.Dropout2d()(X), "2-D input"),
    "upsample": (lambda: F.upsample(PICTURE, 4), "interpolate"),
    "grid_sample": (lambda: F.grid_sample(PICTURE, torch.zeros(1, 2, 2, 2)), "align_corners=False"),
    "affine_grid": (lambda: F.affine_grid(torch.ones(1, 2, 3), (1, 1, 2, 2)), "align_corners=False"),
    "tensor of a tensor": (lambda: torch.tensor(X), "detach"),
    "new_tensor of a tensor": (lambda: X.new_tensor(X), "detach"),
    "T of three dims": (lambda: X[None].T, "mT"),
    "T of one dim": (lambda: X[0].T, "mT"),
    "meshgrid": (lambda: torch.meshgrid(X[0], X[0]), "indexing"),
    "range": (lambda: torch.range(0, 3), "arange"),
    "chain_matmul": (lambda: torch.chain_matmul(X, X.T), "multi_dot"),
    "out of another size": (lambda: torch.add(X, X, out=torch.ones(2)), "resized"),
    "two kinds of masks": (
        lambda: nn.MultiheadAttention(2, 1)(
            *[torch.ones(3, 1, 2)] * 3,
            key_padding_mask=torch.zeros(1, 3, dtype=bool),
            attn_mask=torch.zeros(3, 3),
        ),
        "mismatched",
    ),
}


@pytest.mark.parametrize("name", WARNED)
def test_warned_of_at_the_users_line(name):
    call, said = WARNED[name]
    with pytest.warns(UserWarning, match=said) as caught:
        call()
    assert [warning.filename for warning in caught] == [__file__]


def test_an_old_name_of_clipping():
    with pytest.warns(FutureWarning, match="clip_grad_norm_"):
        nn.utils.clip_grad_norm([nn.Parameter(X)], 1.0)


def test_what_is_spelt_out_is_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert F.softmax(X, dim=1).sum().item() == pytest.approx(4)
        assert X.T.shape == (3, 4) and torch.tensor(1.0).T.shape == ()
        assert torch.cartesian_prod(X[0], X[0]).shape == (9, 2)
        assert torch.as_tensor(X) is X and torch.asarray(X, copy=True).shape == X.shape
        assert len(torch.meshgrid(X[0], X[0], indexing="ij")) == 2
        assert nn.L1Loss(reduction="sum")(X, X).item() == 0
