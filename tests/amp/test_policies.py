"""The dtype that each op gives under autocast on the CPU, held against PyTorch's CPU list."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import devtensor as dt
from devtensor import ops
from devtensor.amp import autocast
from devtensor.amp.policies import CPU, TABLES, policy_of, table_of
from devtensor.core.op import OPS
from devtensor.core.precision import WHOLE
from devtensor.nn import functional as F

HALVES = ["float16", "bfloat16"]


def square(dtype, device="cpu"):
    return (
        (dt.arange(16, dtype=dt.float32).reshape(4, 4) / 40 + 0.3)
        .to(device, dt.float32)
        .to(getattr(dt, dtype))
    )


def image(x):
    return x.reshape(1, 1, 4, 4)


CLASSES = [0, 1, 2, 3]

# What PyTorch 2.13 computes in the region's dtype, and what in float32, whatever arrives; the rest stays.
LOWER = {
    "matmul": lambda x: x @ x,
    "vector": lambda x: x @ x[0],
    "batched": lambda x: x.reshape(1, 4, 4) @ x,
    "linear": lambda x: F.linear(x, x),
    "linear with bias": lambda x: F.linear(x, x, x[0]),
    "conv1d": lambda x: F.conv1d(x.reshape(1, 4, 4), x.reshape(4, 4, 1)),
    "conv2d": lambda x: F.conv2d(image(x), image(x)),
    "prelu": lambda x: F.prelu(x, x[0, :1]),
}
WIDE = {
    "prod": lambda x: x.prod(),
    "cross_entropy": lambda x: F.cross_entropy(x, dt.tensor(CLASSES)),
    "soft cross_entropy": lambda x: F.cross_entropy(x, x),
    "nll_loss": lambda x: F.nll_loss(x, dt.tensor(CLASSES)),
    "mse_loss": lambda x: F.mse_loss(x, x),
    "l1_loss": lambda x: F.l1_loss(x, x),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, x),
    "huber_loss": lambda x: F.huber_loss(x, x),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(x, x),
    "binary_cross_entropy_with_logits": lambda x: F.binary_cross_entropy_with_logits(x, x),
    "kl_div": lambda x: F.kl_div(x, x, reduction="sum"),
    "avg_pool3d": lambda x: F.avg_pool3d(x.reshape(1, 1, 1, 4, 4), (1, 2, 2)),
    "adaptive_avg_pool3d": lambda x: F.adaptive_avg_pool3d(x.reshape(1, 1, 1, 4, 4), 1),
}
KEPT = {
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(-1),
    "layer_norm": lambda x: F.layer_norm(x, (4,)),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "group_norm": lambda x: F.group_norm(x.reshape(1, 4, 4), 2),
    "exp": lambda x: x.exp(),
    "log": lambda x: x.log(),
    "pow": lambda x: x**3,
    "sum": lambda x: x.sum(),
    "mean": lambda x: x.mean(),
    "cumsum": lambda x: x.cumsum(0),
    "logsumexp": lambda x: x.logsumexp(0),
    "gelu": lambda x: F.gelu(x),
    "softplus": lambda x: F.softplus(x),
    "relu": lambda x: x.relu(),
    "add a number": lambda x: x + 1.5,
    "max_pool2d": lambda x: F.max_pool2d(image(x), 2),
    "avg_pool2d": lambda x: F.avg_pool2d(image(x), 2),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(image(x), 2),
    "embedding": lambda x: F.embedding(dt.tensor(CLASSES), x),
}
ROWS = [
    (name, f, kind)
    for kind, table in (("lower", LOWER), ("wide", WIDE), ("kept", KEPT))
    for name, f in table.items()
]
IDS = [name for name, *_ in ROWS]


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("given", ["float32", "half", "float64"])
@pytest.mark.parametrize(("name", "function", "kind"), ROWS, ids=IDS)
def test_dtype_on_the_cpu(name, function, kind, given, half):
    given = half if given == "half" else given
    with autocast("cpu", dtype=getattr(dt, half)):
        found = function(square(given)).dtype.name
    expected = {"lower": half, "wide": "float32", "kept": given}[kind]
    assert found == ("float64" if given == "float64" else expected)


@pytest.mark.parametrize("half", HALVES)
def test_mixed_inputs_meet_in_the_widest(half):
    x, y = square(half), square("float32")
    with autocast("cpu", dtype=getattr(dt, half)):
        for found in (x + y, x * y, dt.cat([x, y]), dt.where(x > 0.5, x, y), dt.maximum(x, y)):
            assert found.dtype is dt.float32
        # In promotion a tensor without dimensions widens nothing, to autocast it is one like others.
        assert (x * y[0, 0]).dtype.name == half
        assert x[0].index_copy(0, dt.tensor(1), y[0, 0]).dtype is dt.float32
        assert (x @ y).dtype.name == half


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("join", [dt.cat, dt.stack, dt.hstack, dt.concat])
def test_the_other_half_type_is_not_joined(join, half):
    """PyTorch's autocast knows the region's half type and float32, whose first tensor ends its search."""
    x, wide = square(half), square("float32")
    other = square(*(name for name in HALVES if name != half))
    with autocast("cpu", dtype=getattr(dt, half)):
        for refused in ([other, other], [x, other], [other, wide], [x, other, wide], [x.long(), other]):
            with pytest.raises(RuntimeError, match=rf"Unexpected floating dtype .*in a region of .*{half}"):
                join(refused)
        for met in ([wide, other], [x, wide, other]):
            assert join(met).dtype is dt.float32
        assert join([x, x]).dtype.name == half
        assert join([x, x.double()]).dtype is dt.float64
        assert join([x.long(), x.long()]).dtype is dt.int64
        # What only uses joining inside takes them.
        assert dt.block_diag(other, other).dtype is other.dtype
        assert dt.cummax(other, 0)[0].dtype is other.dtype
        assert dt.nn.functional.pad(other[None, None, None], (1,) * 6, mode="circular").dtype is other.dtype
    assert join([other, other]).dtype is other.dtype


MIXED = {
    "conv1d": lambda x, y, b: F.conv1d(x[None], y[:, :, None], b),
    "conv2d": lambda x, y, b: F.conv2d(image(x), image(y), b[:1]),
    "conv3d": lambda x, y, b: F.conv3d(image(x)[None], image(y)[None], b[:1]),
    "conv_tbc": lambda x, y, b: F.conv_tbc(x[:, None], y[None], b),
    "conv_transpose1d": lambda x, y, b: F.conv_transpose1d(x[None], y[:, :, None], b),
    "conv_transpose2d": lambda x, y, b: F.conv_transpose2d(image(x), image(y), b[:1]),
    "linear": F.linear,
    "addmm": lambda x, y, b: dt.addmm(b, x, y),
    "attention": lambda x, y, b: F.scaled_dot_product_attention(x[None], y[None], x[None], attn_mask=b),
    # Taken for truths, masks of numbers would hide all places here, and none there.
    "attention beside zeros": lambda x, y, b: F.scaled_dot_product_attention(
        x[None], y[None], x[None], b * 0
    ),
    "attention bent": lambda x, y, b: F.scaled_dot_product_attention(
        x[None], y[None], x[None], dt.arange(4, device=b.device).to(b.dtype) * 2 - 8
    ),
}


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("name", MIXED)
def test_every_input_of_a_product_may_have_another_dtype(name, half):
    """Input, weight and bias or mask: each of three dtypes, in all 27 ways."""
    wanted = MIXED[name](square("float32"), square("float32"), square("float32")[0]).numpy()
    for given in product(("float32", *HALVES), repeat=3):
        x, y, b = map(square, given)
        with autocast("cpu", dtype=getattr(dt, half)):
            found = MIXED[name](x, y, b[0])
        assert found.dtype.name == half, given
        np.testing.assert_allclose(found.float().numpy(), wanted, rtol=5e-2, err_msg=str(given))


@pytest.mark.parametrize("half", HALVES)
def test_weights_of_attention_beside_a_mask_are_lowered(half):
    heads = dt.nn.MultiheadAttention(4, 2, batch_first=True)
    x = square("float32")[None]
    with autocast("cpu", dtype=getattr(dt, half)):
        found, weights = heads(x, x, x, attn_mask=dt.zeros(4, 4))
        same, plain = heads(x, x, x)
    assert {t.dtype.name for t in (found, weights, same, plain)} == {half}
    np.testing.assert_allclose(weights.detach().float().numpy(), plain.detach().float().numpy(), atol=1e-2)


@pytest.mark.parametrize("half", HALVES)
def test_the_last_step_of_a_pseudoinverse_is_a_product(half):
    x = square("float32") + dt.eye(4)
    wanted, into, nothing = np.linalg.pinv(x.double().numpy()), dt.empty(4, 4), dt.empty(2, 0, 3)
    x.requires_grad_()
    with autocast("cpu", dtype=getattr(dt, half)):
        found, wide = dt.linalg.pinv(x), dt.pinverse(x.detach())
        dt.linalg.pinv(x.detach(), out=into)
        assert dt.linalg.pinv(nothing).dtype is found.dtype
        with pytest.raises(RuntimeError, match="Low precision dtypes not supported"):
            dt.linalg.pinv(x.detach().to(getattr(dt, half)))
    found.float().sum().backward()
    assert [found.dtype.name, wide.dtype.name, x.grad.dtype.name] == [half, "float32", "float32"]
    np.testing.assert_allclose(found.detach().double().numpy(), wanted, atol=2e-2)
    for exact in (wide, into):
        np.testing.assert_allclose(exact.double().numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("half", HALVES)
def test_pairs_of_dims_need_one_dtype(half):
    x, y = square(half), square("float32")
    for enabled in (True, False):
        with autocast("cpu", dtype=getattr(dt, half), enabled=enabled):
            for pairs in (dt.tensordot, dt.inner):
                with pytest.raises(RuntimeError, match="both inputs should have the same dtype"):
                    pairs(x, y)


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("given", ["float32", "half"])
def test_a_bilinear_map_keeps_the_dtype_of_its_first_input(given, half):
    x = square(half if given == "half" else given)
    with autocast("cpu", dtype=getattr(dt, half)):
        found = dt.nn.functional.bilinear(x, x, x.reshape(1, 4, 4))
    assert found.dtype is x.dtype
    wide = x.double().numpy()
    wanted = np.einsum("bi,ij,bj->b", wide, wide, wide)[:, None]
    np.testing.assert_allclose(found.double().numpy(), wanted, rtol=3e-2)


@pytest.mark.parametrize("half", HALVES)
def test_matrices_of_halves_that_pytorch_refuses(half):
    x = square(half) + dt.eye(4, dtype=getattr(dt, half))
    with autocast("cpu", dtype=getattr(dt, half)):
        for refused in (dt.linalg.det, dt.slogdet, dt.linalg.lu_factor, lambda m: dt.linalg.solve_ex(m, m)):
            with pytest.raises(RuntimeError, match=r"Low precision|not implemented"):
                refused(x)
        for wide in (dt.linalg.inv, lambda m: dt.linalg.solve(m, m), dt.cholesky_inverse):
            assert wide(x).dtype is dt.float32
        assert dt.lu(x)[0].dtype is dt.float32


def test_table_decides_every_op_that_has_a_policy():
    """An op that autocast treats on CUDA needs a decision for the CPU: a policy, or None."""
    assert ops.FAMILIES
    assert dt.fft and dt.linalg
    declared = {name: op.amp for name, op in OPS.items()} | WHOLE
    undecided = [name for name, amp in declared.items() if amp in ("lower", "float32") and name not in CPU]
    assert not undecided, f"name them in devtensor/amp/policies.py: {undecided}"
    assert not set(CPU) - set(declared)
    assert set(WHOLE.values()) == {None, "lower", "float32", "widest", "refused"}
    assert {op.amp for op in OPS.values()} == {None, "lower", "float32", "widest"}


def test_tables_by_device():
    assert table_of(dt.device("cpu")) is TABLES["cpu"]
    softmax = OPS["softmax"]
    assert policy_of(softmax, (), TABLES["cpu"]) is None
    assert policy_of(softmax, (), TABLES["cuda"]) == "float32"


class Strange:
    type = "strange"

    class backend:
        amp_policy = "gpu"


def test_unknown_table_is_told():
    with pytest.raises(ValueError, match="backend 'strange' asks for the table 'gpu'; there are cuda, cpu"):
        table_of(Strange)


TORCH_ONLY_NAMES = {"batched", "vector", "linear with bias", "soft cross_entropy", "add a number"}


def test_tables_agree_with_pytorch(torch):
    """The lists above, against PyTorch itself."""
    for half in HALVES:
        low = getattr(torch, half)
        for name, dtype in torch_rows(torch, low).items():
            kind = next(k for k, table in (("lower", LOWER), ("wide", WIDE), ("kept", KEPT)) if name in table)
            for given in (torch.float32, low):
                expected = {"lower": low, "wide": torch.float32, "kept": given}[kind]
                assert dtype(given) is expected, (name, half, given)


def with_itself(loss):
    """A loss of one argument, which is its own target."""
    return lambda x: loss(x, x)


def torch_rows(torch, low):
    """Our functions' names -> a function from the input's dtype to the dtype PyTorch gives."""
    f = torch.nn.functional
    classes = torch.tensor(CLASSES)
    own = {
        "conv1d": lambda x: f.conv1d(x[None], x[:, :, None]),
        "conv2d": lambda x: f.conv2d(image(x), image(x)),
        "prelu": lambda x: f.prelu(x, x[0, :1]),
        "linear": lambda x: f.linear(x, x),
        "cross_entropy": lambda x: f.cross_entropy(x, classes),
        "nll_loss": lambda x: f.nll_loss(x, classes),
        "avg_pool3d": lambda x: f.avg_pool3d(x.reshape(1, 1, 1, 4, 4), (1, 2, 2)),
        "adaptive_avg_pool3d": lambda x: f.adaptive_avg_pool3d(x.reshape(1, 1, 1, 4, 4), 1),
        "kl_div": lambda x: f.kl_div(x, x, reduction="sum"),
        "layer_norm": lambda x: f.layer_norm(x, (4,)),
        "batch_norm": lambda x: f.batch_norm(x, None, None, training=True),
        "group_norm": lambda x: f.group_norm(x[None], 2),
        "max_pool2d": lambda x: f.max_pool2d(image(x), 2),
        "avg_pool2d": lambda x: f.avg_pool2d(image(x), 2),
        "adaptive_avg_pool2d": lambda x: f.adaptive_avg_pool2d(image(x), 2),
        "embedding": lambda x: f.embedding(classes, x),
        "gelu": f.gelu,
        "softplus": f.softplus,
    }
    losses = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
    losses += ("binary_cross_entropy", "binary_cross_entropy_with_logits")
    own |= {name: with_itself(getattr(f, name)) for name in losses}
    by_method = [
        name
        for table in (LOWER, WIDE, KEPT)
        for name in table
        if name not in own | dict.fromkeys(TORCH_ONLY_NAMES)
    ]
    functions = own | {name: (LOWER | WIDE | KEPT)[name] for name in by_method}

    def dtype_of(function):
        def find(given):
            x = (torch.arange(16.0).reshape(4, 4) / 40 + 0.3).to(given)
            with torch.autocast("cpu", dtype=low):
                return function(x).dtype

        return find

    return {name: dtype_of(function) for name, function in functions.items()}
