"""PyTorch's list for autocast on CUDA: what declarations say, and what a device that follows them does."""

from __future__ import annotations

from pathlib import Path

import pytest

import devtensor as dt
from devtensor import ops
from devtensor.amp import autocast
from devtensor.core.op import OPS
from devtensor.core.precision import WHOLE
from devtensor.nn import functional as F

ROWS = [
    line.split()
    for line in (Path(__file__).parents[1] / "data" / "autocast_cuda.txt").read_text().splitlines()
    if not line.startswith("#")
]
# PyTorch's name, or the beginning of several -> the op of ours that does the work.
OURS = {
    "_convolution": "convolution",
    "conv": "convolution",
    "upsample": "resample",
    "_upsample": "resample",
    "linalg_vector_norm": "vector_norm",
    "scaled_dot_product_attention": "attention",
    "_scaled_dot_product_flash_attention": "attention",
    "native_layer_norm": "layer_norm",
    "nll_loss2d": "nll_loss",
    "_thnn_fused": "linear",
    "lstm_cell": "linear",
    "gru_cell": "linear",
    "rnn_": "linear",
}


@pytest.mark.parametrize(("name", "policy"), ROWS, ids=[name for name, _ in ROWS])
def test_declarations_say_what_pytorch_does(name, policy):
    assert ops.FAMILIES and dt.fft and dt.linalg
    declared = {op_name: op.amp for op_name, op in OPS.items()} | WHOLE
    own = next((ours for theirs, ours in OURS.items() if name.startswith(theirs)), name)
    assert declared[name if name in declared else own] == policy


def test_the_list_is_whole():
    assert len(ROWS) == 109
    assert {policy for _, policy in ROWS} == {"lower", "float32", "widest", "refused"}


def image(x):
    return x.reshape(1, 1, 4, 4)


INDEX = [0, 2, 1, 3]
LOWER = {
    "matmul": lambda x, y: x @ y,
    "mm": lambda x, y: dt.mm(x, y),
    "mv": lambda x, y: dt.mv(x, y[0]),
    "bmm": lambda x, y: dt.bmm(x[None], y[None]),
    "addmm": lambda x, y: dt.addmm(x, x, y),
    "addmv": lambda x, y: dt.addmv(x[0], x, y[0]),
    "addr": lambda x, y: dt.addr(x, x[0], y[0]),
    "addbmm": lambda x, y: dt.addbmm(x, x[None], y[None]),
    "baddbmm": lambda x, y: dt.baddbmm(x[None], x[None], y[None]),
    "einsum": lambda x, y: dt.einsum("ij,jk->ik", x, y),
    "einsum without a sum": lambda x, y: dt.einsum("ij,ij->ij", x, y),
    "chain_matmul": lambda x, y: dt.chain_matmul(x, y, x),
    "multi_dot": lambda x, y: dt.linalg.multi_dot([x, y, x]),
    "vecdot": lambda x, y: dt.linalg.vecdot(x, y),
    "linear": lambda x, y: F.linear(x, y),
    "conv2d": lambda x, y: F.conv2d(image(x), image(y)),
    "conv2d with a wider bias": lambda x, y: F.conv2d(image(x), image(x), y[0, :1]),
    "conv_transpose2d with a wider bias": lambda x, y: F.conv_transpose2d(image(x), image(x), y[0, :1]),
    "conv_transpose1d": lambda x, y: F.conv_transpose1d(x[None], y[:, :, None]),
    "prelu": lambda x, y: F.prelu(x, y[0, :1]),
    "attention": lambda x, y: F.scaled_dot_product_attention(x[None], y[None], x[None]),
    "attention with a mask": lambda x, y: F.scaled_dot_product_attention(y[None], y[None], y[None], x),
}
METHODS = (
    "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan sum prod norm square"
)
LOSSES = (
    "mse_loss l1_loss smooth_l1_loss huber_loss poisson_nll_loss hinge_embedding_loss soft_margin_loss "
    "binary_cross_entropy_with_logits cross_entropy"
)
WIDE = {
    **{name: lambda x, y, name=name: getattr(x, name)() for name in METHODS.split()},
    "pow": lambda x, y: x.pow(2),
    "pow of tensors": lambda x, y: x**y,
    "power of a number": lambda x, y: 2.0**x,
    "softplus": lambda x, y: F.softplus(x),
    "softmax": lambda x, y: x.softmax(0),
    "log_softmax": lambda x, y: x.log_softmax(0),
    "layer_norm": lambda x, y: F.layer_norm(x, (4,)),
    "rms_norm": lambda x, y: F.rms_norm(x, (4,)),
    "group_norm": lambda x, y: F.group_norm(x[None], 2),
    "cumsum": lambda x, y: x.cumsum(0),
    "cumprod": lambda x, y: x.cumprod(0),
    "logsumexp": lambda x, y: x.logsumexp(0),
    "frobenius_norm": lambda x, y: x.norm("fro", dim=(0, 1)),
    "nuclear_norm": lambda x, y: dt.nuclear_norm(x),
    "matrix_norm": lambda x, y: dt.linalg.matrix_norm(x),
    "vector_norm": lambda x, y: dt.linalg.vector_norm(x),
    "cosine_similarity": F.cosine_similarity,
    "dist": dt.dist,
    "cdist": dt.cdist,
    "pdist": lambda x, y: F.pdist(x),
    "renorm": lambda x, y: x.renorm(2, 0, 1.0),
    "interpolate": lambda x, y: F.interpolate(image(x), 8),
    "interpolate, no size new": lambda x, y: F.interpolate(image(x), 4),
    "bilinear images": lambda x, y: F.interpolate(image(x), 8, mode="bilinear"),
    "bicubic images": lambda x, y: F.interpolate(image(x), 8, mode="bicubic"),
    "linear signals": lambda x, y: F.interpolate(x[None], 8, mode="linear"),
    "multilabel_soft_margin_loss": lambda x, y: F.multilabel_soft_margin_loss(x, y),
    "kl_div": lambda x, y: F.kl_div(x, y, reduction="sum"),
    "cosine_embedding_loss": lambda x, y: F.cosine_embedding_loss(x, y, (x[0] > 0).int()),
    "triplet_margin_loss": lambda x, y: F.triplet_margin_loss(x, y, x),
    "multi_margin_loss": lambda x, y: F.multi_margin_loss(x, (y[0] * 0).long()),
    "multilabel_margin_loss": lambda x, y: F.multilabel_margin_loss(x, (y * 0).long()),
    "margin_ranking_loss": lambda x, y: F.margin_ranking_loss(x, y, y),
    **{name: getattr(F, name) for name in LOSSES.split()},
}
WIDEST = {
    "addcdiv": lambda x, y: dt.addcdiv(x, x, y),
    "addcmul": lambda x, y: dt.addcmul(x, x, y),
    "atan2": dt.atan2,
    "bilinear": lambda x, y: F.bilinear(x, y, x.reshape(1, 4, 4)),
    "cross": lambda x, y: dt.cross(x[:3], y[:3], dim=0),
    "dot": lambda x, y: dt.dot(x[0], y[0]),
    "vdot": lambda x, y: dt.vdot(x[0], y[0]),
    "grid_sample": lambda x, y: F.grid_sample(image(x), y.reshape(1, 2, 4, 2), align_corners=True),
    "index_put": lambda x, y: x.index_put((dt.tensor(INDEX, device=x.device),), y),
    "tensordot": lambda x, y: dt.tensordot(x, y),
    "scatter_add": lambda x, y: x.scatter_add(0, (x * 0).long(), y),
}
BINARY = "add sub mul div floor_divide fmod remainder maximum minimum hypot rsub fmax fmin"
# What is not in the list: of a tensor and a number beside it promotion decides, and numbers widen nothing.
KEPT = {
    **{name: getattr(dt, name) for name in BINARY.split()},
    "div, rounded": lambda x, y: dt.div(x, y, rounding_mode="trunc"),
    "add, scaled": lambda x, y: dt.add(x, y, alpha=2),
    "where": lambda x, y: dt.where(x > 0.5, x, y),
    "a number first": lambda x, y: y * x,
    "in place": lambda x, y: x.clone().mul_(y),
    "polynomial": lambda x, y: dt.special.chebyshev_polynomial_t(x, y),
    "area": lambda x, y: F.interpolate(image(x), 2, mode="area"),
    "nansum": lambda x, y: x.nansum(),
    "nanmean": lambda x, y: x.nanmean(),
    "gelu": lambda x, y: F.gelu(x),
    "adaptive_avg_pool2d": lambda x, y: F.adaptive_avg_pool2d(image(x), 2),
}


def square(dtype, device):
    return (dt.arange(16, dtype=dt.float32).reshape(4, 4) / 40 + 0.3).to(device).to(dtype)


@pytest.fixture(params=["strict", pytest.param("cuda", marks=pytest.mark.cuda)])
def follower(request):
    """A device that follows CUDA's list; the CPU has a list of its own, held in test_policies."""
    return request.param


CASES = [(name, call, kind) for kind in ("LOWER", "WIDE", "WIDEST") for name, call in globals()[kind].items()]


@pytest.mark.filterwarnings("ignore:.chain_matmul. is deprecated")
@pytest.mark.parametrize(("name", "call", "kind"), CASES, ids=[f"{kind}-{name}" for name, _, kind in CASES])
def test_a_device_that_follows_the_list(follower, name, call, kind):
    wide, half = square(dt.float32, follower), square(dt.float16, follower)
    with autocast(follower, dtype=dt.float16):
        if kind == "LOWER":
            assert call(wide, wide).dtype is dt.float16
            assert call(half, wide).dtype is dt.float16
        elif kind == "WIDE":
            assert call(half, half).dtype is dt.float32
        else:
            assert call(half, half).dtype is dt.float16
            assert call(half, wide).dtype is dt.float32
            assert call(wide, half).dtype is dt.float32
        assert call(wide.double(), wide.double()).dtype is dt.float64


@pytest.mark.parametrize("name", KEPT)
def test_what_is_not_in_the_list_is_promoted_as_elsewhere(follower, name):
    """So a half tensor times a float32 number, such as a learnt temperature, stays half."""
    half, number = square(dt.float16, follower), square(dt.float32, follower)[0, 0]
    with autocast(follower, dtype=dt.float16):
        assert KEPT[name](half, number).dtype is dt.float16
        assert KEPT[name](half.float(), number).dtype is dt.float32


def test_any_halves_are_joined(follower):
    """PyTorch's list for CUDA does not name cat and stack, which promote by themselves."""
    half, other = square(dt.float16, follower), square(dt.bfloat16, follower)
    with autocast(follower, dtype=dt.float16):
        for join in (dt.cat, dt.stack):
            assert join([half, other]).dtype is dt.float32
            assert join([other, other]).dtype is dt.bfloat16
            assert join([half, half.float()]).dtype is dt.float32


def test_losses_of_probabilities_are_refused(follower):
    half = square(dt.float16, follower)
    with autocast(follower, dtype=dt.float16):
        with pytest.raises(RuntimeError, match="binary_cross_entropy_with_logits"):
            F.binary_cross_entropy(half, half)
        with autocast(follower, enabled=False):
            assert F.binary_cross_entropy(half.float(), half.float()).dtype is dt.float32
        assert F.binary_cross_entropy(half.float().cpu(), half.float().cpu()).dtype is dt.float32


def test_an_asked_dtype_is_respected(follower):
    half = square(dt.float16, follower)
    with autocast(follower, dtype=dt.float16):
        for name in ("sum", "prod"):
            assert getattr(half, name)(dtype=dt.float16).dtype is dt.float16
            assert getattr(half, name)(dtype=dt.float64).dtype is dt.float64
        for name in ("softmax", "log_softmax", "cumsum", "cumprod"):
            assert getattr(half, name)(0, dtype=dt.float16).dtype is dt.float16
        assert half.int().sum().dtype is dt.int64
