"""Attention and the Transformer against PyTorch itself: an optional run (--oracle torch)."""

from __future__ import annotations

import importlib
import itertools
import warnings
from typing import Any

import numpy as np
import pytest

import devtensor

RNG = np.random.default_rng(0)
PADDING = np.array([[False, False, False, True, True], [False] * 5, [False, True, True, True, True]])


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pair(make: Any, torch: Any, seed: int = 0) -> tuple[Any, Any]:
    """A module of each library with the same numbers."""
    theirs, ours = make(torch), make(devtensor)
    draw = np.random.default_rng(seed)
    state = {name: draw.normal(size=tuple(p.shape)) * 0.5 for name, p in theirs.state_dict().items()}
    theirs.double().load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    ours.double().load_state_dict({name: devtensor.tensor(value) for name, value in state.items()})
    assert list(theirs.state_dict()) == list(ours.state_dict()) and repr(theirs) == repr(ours)
    return theirs, ours


def outcome(library: Any, module: Any, arrays: dict[str, np.ndarray], options: dict[str, Any]) -> list:
    """Outputs and gradients of all inputs and parameters."""
    given = {name: library.tensor(np.array(value)) for name, value in arrays.items()}
    for value in given.values():
        value.requires_grad_(value.is_floating_point() and not options.get("frozen"))
    called = {name: value for name, value in options.items() if name != "frozen"}
    made = module(**given, **called)
    outs = [out for out in (made if isinstance(made, tuple) else (made,)) if out is not None]
    leaves = [t for t in (*given.values(), *module.parameters()) if t.requires_grad]
    grads: Any = []
    if outs[0].requires_grad:
        grads = library.autograd.grad(sum((out * out).sum() for out in outs), leaves, allow_unused=True)
    return [None if t is None else np.array(t.detach().numpy()) for t in (*outs, *grads)]


def check(wanted: list, found: list) -> None:
    assert len(wanted) == len(found)
    for theirs, ours in zip(wanted, found, strict=True):
        assert (theirs is None) == (ours is None)
        if theirs is not None:
            assert theirs.shape == ours.shape and theirs.dtype == ours.dtype
            np.testing.assert_allclose(ours, theirs, 1e-8, 1e-10)


OPTIONS = {
    "plain": {},
    "without biases": {"bias": False},
    "extra places": {"add_bias_kv": True, "add_zero_attn": True},
    "other sizes": {"kdim": 3, "vdim": 5},
}
CALLS = [
    dict(zip(("need_weights", "average_attn_weights"), flags, strict=True))
    for flags in ((False, True), (True, True), (True, False))
]


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("name", OPTIONS)
def test_multihead_attention(name, batch_first, torch):
    theirs, ours = pair(
        lambda library: library.nn.MultiheadAttention(6, 2, batch_first=batch_first, **OPTIONS[name]), torch
    )
    lead = (lambda n: (3, n)) if batch_first else (lambda n: (n, 3))
    inputs = {
        "query": RNG.normal(size=(*lead(4), 6)),
        "key": RNG.normal(size=(*lead(5), theirs.kdim)),
        "value": RNG.normal(size=(*lead(5), theirs.vdim)),
    }
    masks: list[dict] = [
        {},
        {"attn_mask": RNG.random((4, 5)) < 0.3},
        {"attn_mask": RNG.normal(size=(6, 4, 5))},
        {"key_padding_mask": PADDING},
        {"key_padding_mask": PADDING, "attn_mask": np.tril(np.ones((4, 5)), -1) > 0},
    ]
    for (call, mask), training in itertools.product(itertools.product(CALLS, masks), (True, False)):
        theirs.train(training), ours.train(training)
        check(outcome(torch, theirs, inputs | mask, call), outcome(devtensor, ours, inputs | mask, call))


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
def test_encoder(norm_first, batch_first, recorded, torch):
    def make(library):
        nn = library.nn
        layer = nn.TransformerEncoderLayer(6, 2, 8, 0.0, "gelu", 1e-5, batch_first, norm_first)
        return nn.TransformerEncoder(layer, 2, nn.LayerNorm(6))

    theirs, ours = pair(make, torch)
    source = RNG.normal(size=(3, 5, 6) if batch_first else (5, 3, 6))
    causal = np.triu(np.full((5, 5), -np.inf), 1)
    for mask in (
        {},
        {"src_key_padding_mask": PADDING},
        {"mask": causal},
        {"mask": causal, "is_causal": True},
    ):
        options = {name: value for name, value in mask.items() if isinstance(value, bool)}
        arrays = {"src": source} | {name: value for name, value in mask.items() if name not in options}
        for training in (True, False):
            theirs.train(training), ours.train(training)
            found = []
            for library, module in ((torch, theirs), (devtensor, ours)):
                with library.set_grad_enabled(recorded):
                    found.append(outcome(library, module, arrays, {**options, "frozen": not recorded}))
            check(*found)


@pytest.mark.parametrize("norm_first", [True, False])
def test_transformer(norm_first, torch):
    theirs, ours = pair(
        lambda library: library.nn.Transformer(
            6, 3, 1, 2, 8, 0.0, batch_first=True, norm_first=norm_first, bias=norm_first
        ),
        torch,
    )
    arrays = {
        "src": RNG.normal(size=(3, 5, 6)),
        "tgt": RNG.normal(size=(3, 4, 6)),
        "tgt_mask": np.triu(np.full((4, 4), -np.inf), 1),
        "memory_mask": RNG.normal(size=(4, 5)),
        "src_key_padding_mask": np.where(PADDING, -np.inf, 0.0),
        "memory_key_padding_mask": np.where(PADDING, -np.inf, 0.0),
    }
    check(outcome(torch, theirs, arrays, {}), outcome(devtensor, ours, arrays, {}))


def test_first_values(torch):
    for make in (
        lambda nn: nn.MultiheadAttention(64, 4, add_bias_kv=True),
        lambda nn: nn.MultiheadAttention(64, 4, kdim=32, vdim=16),
        lambda nn: nn.Transformer(32, 4, 1, 1, 64),
    ):
        theirs, ours = (dict(make(library.nn).named_parameters()) for library in (torch, devtensor))
        assert list(theirs) == list(ours)
        for name, wanted in theirs.items():
            first, second = (np.array(p.detach().numpy()) for p in (wanted, ours[name]))
            assert first.shape == second.shape and abs(first.mean() - second.mean()) < 0.1
            assert first.std() == pytest.approx(second.std(), rel=0.35, abs=1e-9), name


def flex(library: Any) -> list:
    """What functions and masks of attention give."""
    module = importlib.import_module(f"{library.__name__}.nn.attention.flex_attention")
    draw = np.random.default_rng(1)
    q, k, v = (library.tensor(draw.normal(size=(2, h, n, 4))) for h, n in ((4, 40), (2, 56), (2, 56)))
    slopes, documents = library.tensor(draw.normal(size=4)), library.tensor(draw.integers(0, 3, (2, 64)))
    mods = {
        "none": None,
        "slopes": lambda s, b, h, m, n: s + slopes[h] * (n - m),
        "bounded": lambda s, b, h, m, n: library.tanh(s / 2) * 2,
    }
    causal = lambda b, h, m, n: m >= n  # noqa: E731
    same = lambda b, h, m, n: documents[b, m] == documents[b, n]  # noqa: E731
    masks = [causal, same, module.and_masks(causal, same), module.or_masks(causal, same), module.noop_mask]
    found: list = []
    for mod, mask in itertools.product(mods.values(), masks):
        block = module.create_block_mask(mask, 2, None, 40, 56, device="cpu", BLOCK_SIZE=16)
        request = module.AuxRequest(lse=True)
        output, rest = module.flex_attention(q, k, v, mod, block, 0.3, True, return_aux=request)
        found += [output, rest.lse, block.kv_num_blocks, block.q_indices, block.to_dense()]
        found += [str(block), repr(block), repr(block[:, :, 0])]
        if mask is causal:
            found += [str(block._adjust(20, 30)), repr(block._adjust(20, 30))]
    return found


def test_flex_attention(torch):
    for theirs, ours in zip(flex(torch), flex(devtensor), strict=True):
        if isinstance(theirs, str):
            assert ours.replace("devtensor", "torch") == theirs
        else:
            check([theirs.numpy()], [np.array(ours.numpy())])
