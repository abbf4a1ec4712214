"""Attention of several heads as a layer, causal biases, attention with functions, written out with NumPy."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import devtensor
import devtensor.nn.functional as F
from devtensor import nn
from devtensor.autograd import gradcheck, gradgradcheck
from devtensor.func import functional_call
from devtensor.nn.attention import SDPBackend, sdpa_kernel
from devtensor.nn.attention.bias import CausalBias, CausalVariant, causal_lower_right, causal_upper_left
from devtensor.nn.attention.flex_attention import (
    AuxRequest,
    BlockMask,
    and_masks,
    create_block_mask,
    create_mask,
    flex_attention,
    noop_mask,
    or_masks,
)
from devtensor.ops.attention import masked_softmax

RNG = np.random.default_rng(0)
Q, K, V = (RNG.normal(size=shape) for shape in ((3, 2, 4), (5, 2, 4), (5, 2, 4)))
HIDDEN = RNG.random((3, 5)) < 0.3
PADDING = np.array([[False] * 5, [False, False, False, True, True]])


def tensor(array, **options):
    return devtensor.tensor(np.asarray(array), **options)


def numbers(value) -> np.ndarray:
    return np.array(value.detach().tolist()).reshape(tuple(value.shape))


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("shape", [(3, 5), (5,), (3, 1), (2, 3, 5), (2, 1, 1)])
@pytest.mark.parametrize("is_causal", [False, True])
def test_a_mask_of_numbers_is_learnt_whatever_it_repeats_along(shape, is_causal):
    q, k, v = (tensor(x.swapaxes(0, 1)) for x in (Q, K, V))
    mask = tensor(RNG.normal(size=shape), requires_grad=True)

    def run(mask, query):
        weights = masked_softmax(query @ k.mT, mask, is_causal, 0.5)
        return weights @ v

    q.requires_grad_()
    assert gradcheck(run, (mask, q)) and gradgradcheck(run, (mask, q))
    half = mask.detach().bfloat16().requires_grad_()
    run(half, q.detach()).sum().backward()
    assert half.grad.dtype is devtensor.bfloat16 and half.grad.shape == half.shape


def test_dropped_attention_computes_halves_in_float32_and_refuses_mixed_dtypes():
    q, k, v = (tensor(x.swapaxes(0, 1)).half() * 100 for x in (Q, K, V))
    devtensor.manual_seed(0)
    dropped = F.scaled_dot_product_attention(q, k, v, dropout_p=0.5)
    devtensor.manual_seed(0)
    wide = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), dropout_p=0.5)
    assert dropped.dtype is devtensor.float16
    assert devtensor.equal(dropped, wide.half())
    with pytest.raises(RuntimeError, match=r"same dtype, but got devtensor\.float16, devtensor\.float32"):
        F.scaled_dot_product_attention(q, k.float(), v, dropout_p=0.5)
    with devtensor.autocast("cpu", dtype=devtensor.bfloat16):
        assert (
            F.scaled_dot_product_attention(q.float(), k.float(), v, dropout_p=0.5).dtype is devtensor.bfloat16
        )


def expected(layer, q, k, v, added=0.0):
    """Output (L, N, E) and weights (N, heads, L, S); `added` broadcasts to the latter."""
    facts = {name: numbers(value) for name, value in layer.state_dict().items()}
    width, heads = layer.embed_dim, layer.num_heads
    if "in_proj_weight" in facts:
        weights = np.split(facts["in_proj_weight"], 3)
    else:
        weights = [facts[f"{name}_proj_weight"] for name in "qkv"]
    biases = np.split(facts.get("in_proj_bias", np.zeros(3 * width)), 3)
    q, k, v = (x @ w.T + b for x, w, b in zip((q, k, v), weights, biases, strict=True))
    if "bias_k" in facts:
        k = np.concatenate([k, np.repeat(facts["bias_k"], k.shape[1], 1)])
        v = np.concatenate([v, np.repeat(facts["bias_v"], v.shape[1], 1)])
    if layer.add_zero_attn:
        k, v = (np.concatenate([t, np.zeros((1, *t.shape[1:]))]) for t in (k, v))
    q, k, v = (t.reshape(len(t), -1, heads, width // heads).transpose(1, 2, 0, 3) for t in (q, k, v))
    seen = softmax(q @ k.swapaxes(-1, -2) / np.sqrt(width // heads) + added)
    output = (seen @ v).transpose(2, 0, 1, 3).reshape(q.shape[2], -1, width)
    return output @ facts["out_proj.weight"].T + facts.get("out_proj.bias", 0.0), seen


def made(**options):
    devtensor.manual_seed(3)
    layer = nn.MultiheadAttention(4, 2, dtype=devtensor.float64, **options)
    with devtensor.no_grad():
        for param in layer.parameters():
            param.copy_(tensor(np.random.default_rng(1).normal(size=tuple(param.shape))))
    return layer


def widened(mask, extra):
    return np.pad(np.where(mask, -np.inf, 0.0), [*[(0, 0)] * (np.ndim(mask) - 1), (0, extra)])


LAYERS = {
    "plain": {},
    "without biases": {"bias": False},
    "learned places": {"add_bias_kv": True},
    "a place of zeros": {"add_zero_attn": True},
    "both": {"add_bias_kv": True, "add_zero_attn": True},
    "sizes of keys and values": {"kdim": 3, "vdim": 6},
    "batch first": {"batch_first": True},
}
MASKS = {
    "none": (None, None),
    "bool": (HIDDEN, None),
    "padding": (None, PADDING),
    "both": (HIDDEN, PADDING),
    "numbers": (RNG.normal(size=(3, 5)), None),
    "for each head": (RNG.random((4, 3, 5)) < 0.3, PADDING),
}


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("name", LAYERS)
def test_multihead_attention(name, masks, weighted):
    options, (mask, padding) = LAYERS[name], MASKS[masks]
    layer = made(**options)
    k, v = RNG.normal(size=(5, 2, layer.kdim)), RNG.normal(size=(5, 2, layer.vdim))
    if layer._qkv_same_embed_dim:
        v = k
    extra = bool(options.get("add_bias_kv")) + bool(options.get("add_zero_attn"))
    added = np.zeros((2, 2, 3, 5 + extra))
    if mask is not None:
        numeric = np.where(mask, -np.inf, 0.0) if mask.dtype == bool else mask
        numeric = np.pad(numeric, [*[(0, 0)] * (mask.ndim - 1), (0, extra)])
        added = added + (numeric.reshape(2, 2, 3, -1) if mask.ndim == 3 else numeric)
    if padding is not None:
        added = added + widened(padding, extra)[:, None, None]
    wanted, seen = expected(layer, Q, k, v, added)
    turn = (lambda t: np.swapaxes(t, 0, 1)) if layer.batch_first else (lambda t: t)
    found, weights = layer(
        *map(tensor, (turn(Q), turn(k), turn(v))),
        attn_mask=None if mask is None else tensor(mask),
        key_padding_mask=None if padding is None else tensor(padding),
        need_weights=weighted,
        average_attn_weights=False,
    )
    np.testing.assert_allclose(numbers(found), turn(wanted), 1e-10, 1e-12)
    if weighted:
        np.testing.assert_allclose(numbers(weights), seen, 1e-10, 1e-12)
    else:
        assert weights is None


def test_self_attention_takes_one_product_and_agrees():
    for options in ({}, {"batch_first": True}, {"bias": False}):
        layer, x = made(**options), tensor(Q)
        for value in (tensor(Q), x):
            one, _ = layer(x, x, value, need_weights=False)
            apart, _ = layer(x, tensor(Q), value, need_weights=False)
            np.testing.assert_allclose(numbers(one), numbers(apart), 1e-12)


def test_without_samples():
    layer = made()
    wanted, seen = expected(layer, Q[:, :1], K[:, :1], V[:, :1])
    found, weights = layer(tensor(Q[:, 0]), tensor(K[:, 0]), tensor(V[:, 0]))
    np.testing.assert_allclose(numbers(found), wanted[:, 0], 1e-10)
    np.testing.assert_allclose(numbers(weights), seen[0].mean(0), 1e-10)


def test_a_causal_hint_stands_for_its_mask():
    layer, x = made(), tensor(Q)
    mask = nn.Transformer.generate_square_subsequent_mask(3, dtype=devtensor.float64)
    wanted, _ = expected(layer, Q, Q, Q, np.triu(np.full((3, 3), -np.inf), 1))
    for options in ({}, {"is_causal": True}, {"is_causal": True, "need_weights": False}):
        np.testing.assert_allclose(numbers(layer(x, x, x, attn_mask=mask, **options)[0]), wanted, 1e-10)


def test_queries_that_look_nowhere():
    layer, x = made(bias=False), tensor(Q)
    nowhere = devtensor.ones(2, 3, dtype=devtensor.bool)
    assert (
        numbers(layer(x, x, x, key_padding_mask=nowhere, need_weights=False)[0]).tolist()
        == np.zeros((3, 2, 4)).tolist()
    )
    assert np.isnan(numbers(layer(x, x, x, key_padding_mask=nowhere)[0])).all()


def test_dropout_of_weights_in_training_only():
    layer, x = made(dropout=0.5), tensor(Q)
    wanted, seen = expected(layer, Q, Q, Q)
    np.testing.assert_allclose(numbers(layer.eval()(x, x, x)[0]), wanted, 1e-10)
    _, weights = layer.train()(x, x, x, average_attn_weights=False)
    found = numbers(weights)
    kept = found != 0
    assert 0 < kept.sum() < kept.size
    np.testing.assert_allclose(found[kept], (seen * 2)[kept], 1e-10)


@pytest.mark.parametrize("weighted", [True, False])
def test_gradients(weighted):
    layer = made(add_bias_kv=True)
    mask, padding = tensor(HIDDEN), tensor(PADDING)
    leaves = [tensor(x, requires_grad=True) for x in (Q, K, V)]

    names = ["in_proj_weight", "bias_k"]
    options = {"attn_mask": mask, "key_padding_mask": padding, "need_weights": weighted}

    def run(q, k, v, *params):
        return functional_call(layer, dict(zip(names, params, strict=True)), (q, k, v), options)[0]

    inputs = (*leaves, *map(layer.get_parameter, names))
    assert gradcheck(run, inputs) and gradgradcheck(run, inputs)


STATES = {
    "in_proj_weight in_proj_bias out_proj.weight out_proj.bias": {},
    "in_proj_weight out_proj.weight": {"bias": False},
    "in_proj_weight in_proj_bias bias_k bias_v out_proj.weight out_proj.bias": {"add_bias_kv": True},
    "q_proj_weight k_proj_weight v_proj_weight in_proj_bias out_proj.weight out_proj.bias": {"kdim": 3},
}


@pytest.mark.parametrize("names", STATES)
def test_states_copies_and_first_values(names):
    layer = nn.MultiheadAttention(4, 2, **STATES[names])
    assert list(layer.state_dict()) == names.split()
    facts = {name: numbers(value) for name, value in layer.named_parameters()}
    for name, value in facts.items():
        if name in ("in_proj_bias", "out_proj.bias"):
            assert not value.any()
        elif name.endswith("proj_weight"):
            bound = np.sqrt(6 / sum(value.shape))
            assert bound / 2 < abs(value).max() <= bound
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert list(other.state_dict()) == names.split() and other.num_heads == 2
    old = layer.__getstate__()
    del old["_qkv_same_embed_dim"]
    restored = nn.MultiheadAttention.__new__(nn.MultiheadAttention)
    restored.__setstate__(old)
    assert restored._qkv_same_embed_dim is True


def test_paths_and_printing():
    assert nn.modules.activation.MultiheadAttention is nn.MultiheadAttention
    assert repr(nn.MultiheadAttention(4, 2)) == (
        "MultiheadAttention(\n  (out_proj): NonDynamicallyQuantizableLinear(in_features=4, out_features=4, "
        "bias=True)\n)"
    )


def test_merged_masks():
    layer, query = made(), devtensor.zeros(2, 3, 4)
    padding, mask = devtensor.ones(2, 3), devtensor.zeros(3, 3)
    assert layer.merge_masks(None, None, query) == (None, None)
    assert layer.merge_masks(None, padding, query) == (padding, 1)
    merged, kind = layer.merge_masks(mask, padding, query)
    assert kind == 2 and merged.shape == (2, 2, 3, 3) and numbers(merged).min() == 1


ERRORS = {
    "greater than 0": (ValueError, lambda: nn.MultiheadAttention(0, 1)),
    "divisible by num_heads": (AssertionError, lambda: nn.MultiheadAttention(5, 2)),
    "expecting embedding dimension": (AssertionError, lambda: made()(*[devtensor.zeros(3, 2, 6)] * 3)),
    "unbatched 2D or batched 3D": (AssertionError, lambda: made()(*[devtensor.zeros(4)] * 3)),
    "to be 3-D": (AssertionError, lambda: made()(tensor(Q), tensor(K[0]), tensor(V))),
    "`key_padding_mask` to be `None` or 2-D": (AssertionError, lambda: masked(key_padding_mask=PADDING[0])),
    "`None`, 2-D or 3-D": (AssertionError, lambda: masked(attn_mask=HIDDEN[0])),
    "2D attn_mask is": (RuntimeError, lambda: masked(attn_mask=HIDDEN[:2])),
    "only bool and floating": (AssertionError, lambda: masked(attn_mask=HIDDEN.astype(int))),
    "expected it to be": (AssertionError, lambda: masked(key_padding_mask=PADDING[:, :4])),
    "key shape": (AssertionError, lambda: made()(tensor(Q), tensor(K), tensor(V[:4]))),
    "sequence and batch dims": (
        AssertionError,
        lambda: made(kdim=3)(tensor(Q), tensor(K[..., :3]), tensor(V[:4])),
    ),
    "Need attn_mask": (RuntimeError, lambda: masked(is_causal=True)),
}


def masked(**masks):
    given = {k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in masks.items()}
    return made()(tensor(Q), tensor(K), tensor(V), **given)


@pytest.mark.parametrize("message", ERRORS)
def test_refusals(message):
    error, call = ERRORS[message]
    with pytest.raises(error, match=message):
        call()


def test_masks_of_two_kinds_are_deprecated():
    with pytest.warns(UserWarning, match="mismatched key_padding_mask and attn_mask"):
        masked(attn_mask=np.zeros((3, 5)), key_padding_mask=PADDING)


def test_causal_biases():
    q, k, v = (tensor(RNG.normal(size=(2, n, 4))) for n in (3, 5, 5))
    assert isinstance(causal_upper_left(3, 5), devtensor.Tensor)
    for make, offset in ((causal_upper_left, 0), (causal_lower_right, 2)):
        seen = np.tril(np.ones((3, 5), bool), offset)
        bias = make(3, 5)
        assert repr(bias) == repr(tensor(seen))
        scores = numbers(q) @ numbers(k).swapaxes(-1, -2) / 2
        wanted = softmax(np.where(seen, scores, -np.inf)) @ numbers(v)
        np.testing.assert_allclose(numbers(F.scaled_dot_product_attention(q, k, v, bias)), wanted, 1e-10)
        with pytest.raises(ValueError, match="is_causal"):
            F.scaled_dot_product_attention(q, k, v, bias, is_causal=True)
    with pytest.warns(UserWarning, match="see nothing"):
        causal_lower_right(5, 3)
    with pytest.raises(AssertionError, match="2D"):
        causal_upper_left(3)
    with pytest.raises(AssertionError, match="CausalVariant"):
        CausalBias(1, 2, 3)
    assert CausalVariant.LOWER_RIGHT == 2


def test_backends_are_chosen():
    assert str(SDPBackend.MATH) == "SDPBackend.MATH"
    with sdpa_kernel(SDPBackend.MATH):
        assert not devtensor.backends.cuda.flash_sdp_enabled()
    with pytest.raises(AssertionError, match="needs an SDPBackend"), sdpa_kernel(3):
        pass


def causal(b, h, q_idx, kv_idx):
    return q_idx >= kv_idx


def near(b, h, q_idx, kv_idx):
    return (q_idx - kv_idx).abs() < 3


DENSE = np.tril(np.ones((6, 7), bool))
NEAR = abs(np.arange(6)[:, None] - np.arange(7)) < 3


def test_masks_of_functions():
    found = create_mask(causal, 2, None, 6, 7)
    assert found.shape == (2, 1, 6, 7) and (numbers(found) == DENSE).all()
    assert (numbers(create_mask(and_masks(causal, near), 1, 1, 6, 7)) == DENSE & NEAR).all()
    assert (numbers(create_mask(or_masks(causal, near), 1, 1, 6, 7)) == DENSE | NEAR).all()
    assert numbers(create_mask(noop_mask, 1, 1, 6, 7)).all()
    hiding = create_mask(lambda s, b, h, q, k: devtensor.where(q >= k, s, -float("inf")), 1, 1, 6, 7)
    assert (numbers(hiding) == DENSE).all()
    rows = RNG.normal(size=(7, 4))
    table = tensor(rows)
    reducing = create_mask(lambda b, h, q, k: (table[q] * table[k]).sum() > 0, 1, 1, 6, 7)
    assert (numbers(reducing)[0, 0] == (rows[:6] @ rows.T > 0)).all()
    with pytest.raises(AssertionError, match="4 or 5"):
        create_mask(lambda b: b, 1, 1, 2, 2)
    with pytest.raises(RuntimeError, match="callable"):
        or_masks(1)


def test_block_masks():
    block = create_block_mask(causal, None, 2, 300, 500, BLOCK_SIZE=(32, 64))
    assert block.shape == (1, 2, 300, 500) and block.numel() == 300_000
    padded = np.zeros((320, 512), bool)
    padded[:300, :500] = np.tril(np.ones((300, 500), bool))
    counts = padded.reshape(10, 32, 8, 64).sum((1, 3))
    for side, at in (("", (counts > 0) & (counts < 2048)), ("full_", counts == 2048)):
        assert (numbers(getattr(block, f"{side}kv_num_blocks"))[0, 0] == at.sum(1)).all()
        assert (numbers(getattr(block, f"{side}q_num_blocks"))[0, 1] == at.sum(0)).all()
        for row in range(10):
            listed = numbers(getattr(block, f"{side}kv_indices"))[0, 0, row, : at[row].sum()]
            assert listed.tolist() == np.flatnonzero(at[row]).tolist()
    assert (numbers(block.to_dense())[0, 0] == (counts > 0)).all()
    seen = (counts > 0).sum() * 2 * 32 * 64 / 300_000
    assert block.sparsity() == pytest.approx(100 * (1 - seen))
    corner = block._adjust(64, 100)
    assert (
        corner.shape == (1, 2, 64, 100) and (numbers(corner.to_dense())[0, 0] == (counts > 0)[:2, :2]).all()
    )
    apart = create_block_mask(lambda b, h, m, n: n >= 400, 1, 1, 300, 500, BLOCK_SIZE=100)
    assert not numbers(apart._adjust(200, 300).to_dense()).any()
    assert block[0, 1].shape == (1, 1, 300, 500) and block[:, :, tensor([1])].kv_indices.shape == (1, 2, 1, 8)
    with pytest.raises(RuntimeError, match="sliced"):
        block[0].mask_mod(1, 1, 1, 1)
    with pytest.raises(AssertionError, match="requires a mask_mod"):
        create_block_mask(lambda s, b, h, q, k: s, 1, 1, 4, 4)
    assert len(block.as_tuple()) == 17 and len(block.as_tuple(flatten=False)) == 15
    assert block.to("cpu").shape == block.shape


def test_block_masks_are_drawn():
    block = create_block_mask(causal, 1, 1, 4, 4, BLOCK_SIZE=2)
    assert str(block) == "BlockMask(shape=(1, 1, 4, 4), sparsity=25.00%, \n(0, 0)\n██  \n████\n)"
    assert block.to_string().splitlines() == ["(0, 0)", "██  ", "████"]
    assert block.to_string(1).splitlines() == ["(0, 0)", "░░"]
    assert "limit=N" in create_block_mask(causal, 3, 2, 4, 4).to_string()
    assert repr(block).splitlines()[-3:] == ["    sparsity=25.00%,", "    mask_mod=causal", ")"]


def written_out(q, k, v, change=lambda s: s, seen=None, scale=0.5):
    scores = change(q @ k.swapaxes(-1, -2) * scale)
    scores = scores if seen is None else np.where(seen, scores, -np.inf)
    return softmax(scores) @ v, np.log(np.exp(scores).sum(-1)), scores.max(-1)


def test_flex_attention():
    q, k, v = (RNG.normal(size=(2, h, n, 4)) for h, n in ((4, 6), (2, 7), (2, 7)))
    slopes = RNG.normal(size=4)
    held = tensor(slopes)
    distance = np.arange(7) - np.arange(6)[:, None]
    k4, v4 = (np.repeat(t, 2, 1) for t in (k, v))
    block = create_block_mask(causal, 2, 4, 6, 7)
    wanted = written_out(q, k4, v4, lambda s: s + slopes[:, None, None] * distance, DENSE)
    output, rest = flex_attention(
        *map(tensor, (q, k, v)),
        lambda s, b, h, q_idx, kv_idx: s + held[h] * (kv_idx - q_idx),
        block,
        enable_gqa=True,
        return_aux=AuxRequest(lse=True, max_scores=True),
    )
    for found, number in zip((output, rest.lse, rest.max_scores), wanted, strict=True):
        np.testing.assert_allclose(numbers(found), number, 1e-10)
    with pytest.warns(FutureWarning, match="return_aux"):
        pair = flex_attention(*map(tensor, (q, k4, v4)), scale=0.3, return_lse=True)
    for found, number in zip(pair, written_out(q, k4, v4, scale=0.3), strict=False):
        np.testing.assert_allclose(numbers(found), number, 1e-10)


def test_flex_attention_has_gradients():
    q, k, v = (tensor(RNG.normal(size=(1, 2, 3, 2)), requires_grad=True) for _ in range(3))
    slopes = tensor(RNG.normal(size=2), requires_grad=True)
    block = create_block_mask(causal, 1, 1, 3, 3)

    def run(q, k, v, slopes):
        return flex_attention(q, k, v, lambda s, b, h, m, n: (s + slopes[h] * (n - m)).tanh(), block)

    assert gradcheck(run, (q, k, v, slopes)) and gradgradcheck(run, (q, k, v, slopes))


def test_flex_attention_where_nothing_is_seen():
    q = tensor(RNG.normal(size=(1, 1, 2, 4)), requires_grad=True)
    block = create_block_mask(lambda b, h, m, n: m > n, 1, 1, 2, 2)
    output, rest = flex_attention(q, q, q, block_mask=block, return_aux=AuxRequest(lse=True))
    assert not numbers(output)[0, 0, 0].any() and numbers(rest.lse)[0, 0, 0] == -np.inf
    output.sum().backward()
    assert np.isfinite(numbers(q.grad)).all()


FLEX_ERRORS = {
    "same number of heads": (ValueError, ((1, 4, 3, 2), (1, 2, 3, 2)), {}),
    "multiple of kv heads": (ValueError, ((1, 4, 3, 2), (1, 3, 3, 2)), {"enable_gqa": True}),
    "4D": (NotImplementedError, ((4, 3, 2), (4, 3, 2)), {}),
    "embedding dimension": (ValueError, ((1, 1, 3, 2), (1, 1, 3, 4)), {}),
    "same batch size": (ValueError, ((2, 1, 3, 2), (1, 1, 3, 2)), {}),
    "was created for": (ValueError, ((1, 1, 3, 2), (1, 1, 3, 2)), {"block_mask": (4, 4)}),
    "Cannot specify both": (
        ValueError,
        ((1, 1, 3, 2), (1, 1, 3, 2)),
        {"return_lse": True, "return_aux": AuxRequest()},
    ),
}


@pytest.mark.parametrize("message", FLEX_ERRORS)
def test_flex_attention_refuses(message):
    error, (query, key), options = FLEX_ERRORS[message]
    if "block_mask" in options:
        options = {"block_mask": create_block_mask(causal, 1, 1, *options["block_mask"])}
    with pytest.raises(error, match=message):
        flex_attention(devtensor.zeros(query), devtensor.zeros(key), devtensor.zeros(key), **options)


def test_block_masks_refuse_halves_of_pairs():
    ones = devtensor.ones(1, 1, 1, dtype=devtensor.int32)
    with pytest.raises(AssertionError, match="both provided"):
        BlockMask.from_kv_blocks(ones, devtensor.zeros(1, 1, 1, 1), ones)
    with pytest.raises(RuntimeError, match="2 dimensions"):
        BlockMask.from_kv_blocks(ones, devtensor.zeros(1))


def test_a_mask_beside_is_causal_hides_what_either_hides():
    given = [devtensor.randn(2, 2, 4, 3, dtype=devtensor.float64) for _ in range(3)]
    mask = devtensor.tensor([[True, False, True, True]] * 4)
    both = devtensor.ones(4, 4, dtype=devtensor.bool).tril() & mask
    found = F.scaled_dot_product_attention(*given, attn_mask=mask, is_causal=True)
    devtensor.testing.assert_close(found, F.scaled_dot_product_attention(*given, attn_mask=both))


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
@pytest.mark.parametrize("shape", [(4,), (4, 4), (2, 4, 4), (2, 2, 4, 4), (4, 1)])
def test_masks_of_halves_are_numbers_to_add(half, shape):
    given = [devtensor.randn(2, 2, 4, 3).to(getattr(devtensor, half)) for _ in range(3)]
    for mask in (devtensor.zeros(shape), devtensor.randn(shape) * 3):
        mask = mask.to(getattr(devtensor, half))
        found = F.scaled_dot_product_attention(*given, attn_mask=mask)
        wide = F.scaled_dot_product_attention(*(x.float() for x in given), attn_mask=mask.float())
        assert found.dtype.name == half
        np.testing.assert_allclose(numbers(found.float()), numbers(wide), atol=0.05)
