"""The Transformer's layers and stacks, written out with NumPy."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest

import devtensor
import devtensor.nn.functional as F
from devtensor import nn
from devtensor.autograd import gradcheck, gradgradcheck
from devtensor.func import functional_call
from devtensor.nn.modules.transformer import _get_activation_fn, _get_clones

RNG = np.random.default_rng(0)
SOURCE = RNG.normal(size=(2, 5, 4))
TARGET = RNG.normal(size=(2, 3, 4))
PADDING = np.array([[False, False, False, True, True], [False] * 5])
ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: numbers(F.gelu(tensor(x))),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


def tensor(array, **options):
    return devtensor.tensor(np.asarray(array), **options)


def numbers(value) -> np.ndarray:
    return np.array(value.detach().tolist()).reshape(tuple(value.shape))


class Reference:
    """A layer's state, and what it computes on (N, L, E)."""

    def __init__(self, layer, activation="relu"):
        self.facts = {name: numbers(value) for name, value in layer.state_dict().items()}
        self.norm_first, self.activation = layer.norm_first, ACTIVATIONS[activation]
        self.heads, self.eps = layer.self_attn.num_heads, layer.norm1.eps

    def linear(self, name, x):
        return x @ self.facts[f"{name}.weight"].T + self.facts.get(f"{name}.bias", 0.0)

    def norm(self, name, x):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + self.eps)
        return scaled * self.facts[f"{name}.weight"] + self.facts.get(f"{name}.bias", 0.0)

    def attend(self, name, x, memory, added):
        weights = np.split(self.facts[f"{name}.in_proj_weight"], 3)
        biases = np.split(self.facts.get(f"{name}.in_proj_bias", np.zeros(3 * x.shape[-1])), 3)
        q, k, v = (
            (t @ w.T + b).reshape(2, -1, self.heads, 4 // self.heads).swapaxes(1, 2)
            for t, w, b in zip((x, memory, memory), weights, biases, strict=True)
        )
        scores = q @ k.swapaxes(-1, -2) / np.sqrt(4 // self.heads) + added
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        seen = powers / powers.sum(-1, keepdims=True)
        return self.linear(f"{name}.out_proj", (seen @ v).swapaxes(1, 2).reshape(x.shape))

    def feed(self, x):
        return self.linear("linear2", self.activation(self.linear("linear1", x)))

    def run(self, x, *steps):
        for number, step in enumerate((*steps, self.feed), 1):
            if self.norm_first:
                x = x + step(self.norm(f"norm{number}", x))
            else:
                x = self.norm(f"norm{number}", x + step(x))
        return x

    def encoder(self, x, own=0.0):
        return self.run(x, lambda t: self.attend("self_attn", t, t, own))

    def decoder(self, x, memory, own=0.0, other=0.0):
        return self.run(
            x,
            lambda t: self.attend("self_attn", t, t, own),
            lambda t: self.attend("multihead_attn", t, memory, other),
        )


def filled(module):
    """The module with numbers of which none is 0 or 1."""
    draw = np.random.default_rng(2)
    with devtensor.no_grad():
        for param in module.parameters():
            param.copy_(tensor(draw.normal(size=tuple(param.shape)) * 0.7))
    return module


def layer_of(kind, **options):
    facts = {"d_model": 4, "nhead": 2, "dim_feedforward": 6, "dropout": 0.0, "batch_first": True}
    return filled(kind(**(facts | options), dtype=devtensor.float64))


LAYERS = {
    "plain": {},
    "norm first": {"norm_first": True},
    "gelu": {"activation": "gelu"},
    "a function": {"activation": F.silu},
    "a module": {"activation": nn.SiLU()},
    "without biases": {"bias": False},
    "one head": {"nhead": 1, "layer_norm_eps": 0.1},
    "sequence first": {"batch_first": False},
    "dropout": {"dropout": 0.4},
}
NAMES = {"gelu": "gelu", "a function": "silu", "a module": "silu"}


@pytest.mark.parametrize("name", LAYERS)
def test_encoder_layer(name):
    layer = layer_of(nn.TransformerEncoderLayer, **LAYERS[name]).eval()
    reference = Reference(layer, NAMES.get(name, "relu"))
    mask = RNG.random((5, 5)) < 0.2
    mask[:, 0] = False
    hidden = np.where(mask, -np.inf, 0.0) + np.where(PADDING, -np.inf, 0.0)[:, None, None]
    turn = (lambda t: t) if layer.self_attn.batch_first else (lambda t: np.swapaxes(t, 0, 1))
    source = tensor(turn(SOURCE))
    np.testing.assert_allclose(numbers(layer(source)), turn(reference.encoder(SOURCE)), 1e-9)
    found = layer(source, src_mask=tensor(mask), src_key_padding_mask=tensor(PADDING))
    np.testing.assert_allclose(numbers(found), turn(reference.encoder(SOURCE, hidden)), 1e-9)


@pytest.mark.parametrize("name", LAYERS)
def test_decoder_layer(name):
    layer = layer_of(nn.TransformerDecoderLayer, **LAYERS[name]).eval()
    reference = Reference(layer, NAMES.get(name, "relu"))
    causal = np.triu(np.full((3, 3), -np.inf), 1)
    other = RNG.normal(size=(3, 5))
    turn = (lambda t: t) if layer.self_attn.batch_first else (lambda t: np.swapaxes(t, 0, 1))
    target, source = tensor(turn(TARGET)), tensor(turn(SOURCE))
    np.testing.assert_allclose(numbers(layer(target, source)), turn(reference.decoder(TARGET, SOURCE)), 1e-9)
    numeric = np.where(PADDING, -np.inf, 0.0)
    wanted = reference.decoder(TARGET, SOURCE, causal, other + numeric[:, None, None])
    found = layer(
        target,
        source,
        tgt_mask=tensor(causal),
        memory_mask=tensor(other),
        memory_key_padding_mask=tensor(numeric),
        tgt_is_causal=True,
    )
    np.testing.assert_allclose(numbers(found), turn(wanted), 1e-9)


def test_dropout_is_at_work_in_training_only():
    for kind, rest in ((nn.TransformerEncoderLayer, ()), (nn.TransformerDecoderLayer, (tensor(SOURCE),))):
        layer = layer_of(kind, dropout=0.5)
        first, second = (numbers(layer(tensor(TARGET), *rest)) for _ in range(2))
        assert (first != second).any()
        layer.eval()
        first, second = (numbers(layer(tensor(TARGET), *rest)) for _ in range(2))
        assert (first == second).all()


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("kind", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer])
def test_gradients(kind, norm_first):
    layer = layer_of(kind, norm_first=norm_first, activation="gelu")
    names = ["self_attn.in_proj_weight"]
    count = 2 if kind is nn.TransformerDecoderLayer else 1

    def run(*given):
        return functional_call(layer, dict(zip(names, given[count:], strict=True)), given[:count])

    leaves = [tensor(x, requires_grad=True) for x in (TARGET, SOURCE)[:count]]
    inputs = (*leaves, *map(layer.get_parameter, names))
    assert gradcheck(run, inputs) and gradgradcheck(run, inputs)


def quiet(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return nn.TransformerEncoder(*args, **options)


def test_encoder_of_copies():
    layer = layer_of(nn.TransformerEncoderLayer)
    norm = filled(nn.LayerNorm(4, dtype=devtensor.float64))
    encoder = nn.TransformerEncoder(layer, 2, norm)
    first, second = encoder.layers
    assert encoder.num_layers == 2 and first.linear1.weight is not second.linear1.weight
    reference = Reference(layer)
    reference.facts |= {f"last.{name}": numbers(value) for name, value in norm.state_dict().items()}
    wanted = reference.norm("last", reference.encoder(reference.encoder(SOURCE)))
    np.testing.assert_allclose(numbers(encoder(tensor(SOURCE))), wanted, 1e-8)
    names = [f"{part}.{name}" for part in ("layers.0", "layers.1") for name in layer.state_dict()]
    assert list(encoder.state_dict()) == [*names, "norm.weight", "norm.bias"]


def test_encoder_detects_causal_masks():
    heard = []

    class Listening(nn.TransformerEncoderLayer):
        def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
            heard.append(is_causal)
            return super().forward(src, src_mask, src_key_padding_mask, is_causal)

    encoder = quiet(layer_of(Listening), 1)
    causal = nn.Transformer.generate_square_subsequent_mask(5)
    assert numbers(causal).tolist() == np.triu(np.full((5, 5), -np.inf), 1).tolist()
    source = tensor(SOURCE)
    found = encoder(source, mask=causal)
    encoder(source, mask=causal + 1)
    encoder(source)
    encoder(source, mask=causal, is_causal=False)
    assert heard == [True, False, False, False]
    wanted = Reference(encoder.layers[0], "relu").encoder
    np.testing.assert_allclose(numbers(found), wanted(SOURCE, numbers(causal)), 1e-9)


@pytest.mark.parametrize(
    ("options", "padding", "zeros"),
    [
        ({}, PADDING, True),
        ({"enable_nested_tensor": False}, PADDING, False),
        ({}, PADDING[:, ::-1], False),
        ({"mask_check": False}, PADDING, True),
    ],
)
def test_padding_in_use(options, padding, zeros):
    layer = layer_of(nn.TransformerEncoderLayer)
    encoder = nn.TransformerEncoder(layer, 2, **options).eval()
    source, hidden = tensor(SOURCE), tensor(padding.copy())
    recorded = numbers(encoder(source, src_key_padding_mask=hidden))
    with devtensor.no_grad():
        found = numbers(encoder(source, src_key_padding_mask=hidden))
    assert recorded[padding].all()
    np.testing.assert_allclose(found[~padding], recorded[~padding], 1e-10)
    assert (found[padding] == 0).all() if zeros else (found == recorded).all()


REASONS = {
    "norm_first was True": {"norm_first": True},
    "batch_first was not True": {"batch_first": False},
    "bias=False": {"bias": False},
    "activation_relu_or_gelu was not True": {"activation": F.silu},
    "num_heads is odd": {"nhead": 1},
}


@pytest.mark.parametrize("reason", REASONS)
def test_encoder_says_why_it_does_not_pack(reason):
    layer = layer_of(nn.TransformerEncoderLayer, **REASONS[reason])
    with pytest.warns(UserWarning, match=reason):
        encoder = nn.TransformerEncoder(layer, 1)
    assert encoder.enable_nested_tensor and not encoder.use_nested_tensor


def test_decoder_of_copies():
    layer = layer_of(nn.TransformerDecoderLayer)
    decoder = nn.TransformerDecoder(layer, 2)
    reference = Reference(layer)
    causal = np.triu(np.full((3, 3), -np.inf), 1)
    wanted = reference.decoder(reference.decoder(TARGET, SOURCE, causal), SOURCE, causal)
    found = decoder(tensor(TARGET), tensor(SOURCE), tgt_mask=tensor(causal))
    np.testing.assert_allclose(numbers(found), wanted, 1e-8)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("batch_first", [True, False])
def test_transformer(batch_first):
    model = nn.Transformer(4, 2, 1, 1, 6, 0.0, batch_first=batch_first, dtype=devtensor.float64)
    assert all(abs(numbers(p)).max() <= np.sqrt(6 / sum(p.shape)) for p in model.parameters() if p.dim() > 1)
    filled(model)
    encoder, decoder = (Reference(stack.layers[0]) for stack in (model.encoder, model.decoder))
    for one, stack in ((encoder, model.encoder), (decoder, model.decoder)):
        one.facts |= {f"last.{name}": numbers(value) for name, value in stack.norm.state_dict().items()}
    memory = encoder.norm("last", encoder.encoder(SOURCE))
    wanted = decoder.norm("last", decoder.decoder(TARGET, memory))
    turn = (lambda t: t) if batch_first else (lambda t: np.swapaxes(t, 0, 1))
    np.testing.assert_allclose(numbers(model(tensor(turn(SOURCE)), tensor(turn(TARGET)))), turn(wanted), 1e-8)
    single = model.eval()(tensor(SOURCE[0]), tensor(TARGET[0]))
    np.testing.assert_allclose(numbers(single), wanted[0], 1e-8)
    other = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    assert list(other.state_dict()) == list(model.state_dict())


def test_custom_stacks():
    class Double(nn.Module):
        def forward(self, tgt, memory=None, **rest):
            return tgt * 2 if memory is None else tgt + memory

    class Encode(nn.Module):
        def forward(self, src, **rest):
            assert rest["is_causal"] is None
            return src * 3

    model = nn.Transformer(4, 2, custom_encoder=Encode(), custom_decoder=Double())
    assert numbers(model(devtensor.ones(2, 1, 4), devtensor.ones(2, 1, 4))).tolist() == [[[4.0] * 4]] * 2


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_refusals():
    model = nn.Transformer(4, 2, 1, 1, 6)
    with pytest.raises(RuntimeError, match="batch number of src and tgt"):
        model(devtensor.ones(5, 2, 4), devtensor.ones(5, 3, 4))
    with pytest.raises(RuntimeError, match="feature number"):
        model(devtensor.ones(5, 2, 4), devtensor.ones(5, 2, 6))
    with pytest.raises(RuntimeError, match="should be relu/gelu"):
        nn.TransformerEncoderLayer(4, 2, activation="tanh")


def test_older_states_and_helpers():
    layer = layer_of(nn.TransformerEncoderLayer)
    state = layer.__getstate__()
    del state["activation"]
    restored = nn.TransformerEncoderLayer.__new__(nn.TransformerEncoderLayer)
    restored.__setstate__(state)
    assert restored.activation is F.relu and _get_activation_fn("gelu") is F.gelu
    clones = _get_clones(nn.Linear(2, 2), 2)
    assert isinstance(clones, nn.ModuleList) and clones[0].weight is not clones[1].weight


def test_printing():
    assert repr(nn.TransformerEncoderLayer(4, 2, 6)) == (
        "TransformerEncoderLayer(\n"
        "  (self_attn): MultiheadAttention(\n"
        "    (out_proj): NonDynamicallyQuantizableLinear(in_features=4, out_features=4, bias=True)\n"
        "  )\n"
        "  (linear1): Linear(in_features=4, out_features=6, bias=True)\n"
        "  (dropout): Dropout(p=0.1, inplace=False)\n"
        "  (linear2): Linear(in_features=6, out_features=4, bias=True)\n"
        "  (norm1): LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)\n"
        "  (norm2): LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)\n"
        "  (dropout1): Dropout(p=0.1, inplace=False)\n"
        "  (dropout2): Dropout(p=0.1, inplace=False)\n"
        ")"
    )


def _hooked(layer):
    layer.linear1.register_forward_hook(lambda *call: None)


# What keeps PyTorch from its fast path -> how a layer or its input comes to be so.
SLOW: dict[str, dict] = {
    "training": {"prepare": lambda layer: layer.train()},
    "a hook": {"prepare": _hooked},
    "switched off": {"enabled": False},
    "gradients": {"grad": True},
    "one sequence": {"source": SOURCE[0]},
    "other eps": {"prepare": lambda layer: setattr(layer.norm1, "eps", 0.1)},
    "sequence first": {"options": {"batch_first": False}},
    "one head": {"options": {"nhead": 1}},
    "no bias": {"options": {"bias": False}},
    "another activation": {"options": {"activation": F.silu}},
}


def _under_autocast(half, options=None, prepare=None, enabled=True, grad=False, source=SOURCE):
    layer = layer_of(nn.TransformerEncoderLayer, **(options or {})).float().eval()
    if prepare is not None:
        prepare(layer)
    devtensor.backends.mha.set_fastpath_enabled(enabled)
    try:
        with devtensor.set_grad_enabled(grad), devtensor.autocast("cpu", dtype=getattr(devtensor, half)):
            return layer, layer(tensor(source).float())
    finally:
        devtensor.backends.mha.set_fastpath_enabled(True)


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
@pytest.mark.parametrize("options", [{}, {"norm_first": True}, {"activation": "gelu"}])
def test_where_pytorch_takes_its_fast_path_autocast_ends_in_a_half(half, options):
    layer, found = _under_autocast(half, options)
    wanted = Reference(layer, options.get("activation", "relu")).encoder(SOURCE)
    assert found.dtype.name == half
    np.testing.assert_allclose(numbers(found.double()), wanted, atol=0.1)
    stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    with devtensor.inference_mode(), devtensor.autocast("cpu", dtype=half):
        assert stack(tensor(SOURCE).float()).dtype.name == half


@pytest.mark.parametrize("reason", SLOW)
def test_elsewhere_it_ends_in_float32(reason):
    assert _under_autocast("bfloat16", **SLOW[reason])[1].dtype is devtensor.float32
