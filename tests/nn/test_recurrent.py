"""Recurrent layers: values against loops in NumPy, gradients, packed sequences, and habits of the layers."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

import devtensor
from devtensor import graph, nn
from devtensor.autograd.gradcheck import gradcheck, gradgradcheck
from devtensor.core.errors import TraceError
from devtensor.func import functional_call
from devtensor.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

# Layer class and options that are its own.
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "tanh": (nn.RNN, {}),
    "relu": (nn.RNN, {"nonlinearity": "relu"}),
    "LSTM": (nn.LSTM, {}),
    "projected": (nn.LSTM, {"proj_size": 2}),
    "GRU": (nn.GRU, {}),
}
LENGTHS = [3, 5, 1, 3]
# Layers, whether both directions, whether biases.
SHAPES = [(1, False, True), (2, True, True), (2, False, False), (1, True, False)]
LAYOUTS = ("padded", "batch_first", "packed")
RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(5, 4, 3))


def step(kind: str, x: np.ndarray, h: np.ndarray, c: Any, w: list[np.ndarray]) -> tuple[Any, Any]:
    """One step of one sequence; `w` are the layer's weights in order, zeros for absent biases."""
    w_ih, w_hh, b_ih, b_hh, *w_hr = w
    seen, own = w_ih @ x + b_ih, w_hh @ h + b_hh
    if kind == "GRU":
        (xr, xz, xn), (hr, hz, hn) = np.split(seen, 3), np.split(own, 3)
        z, n = expit(xz + hz), np.tanh(xn + expit(xr + hr) * hn)
        return (1 - z) * n + z * h, c
    if kind in ("tanh", "relu"):
        return (np.tanh(seen + own) if kind == "tanh" else np.maximum(seen + own, 0)), c
    i, f, g, o = np.split(seen + own, 4)
    c = expit(f) * c + expit(i) * np.tanh(g)
    h = expit(o) * np.tanh(c)
    return (w_hr[0] @ h if w_hr else h), c


def weights_of(layer: Any, place: int) -> list[np.ndarray]:
    found = [w.detach().numpy() for w in layer.all_weights[place]]
    if not layer.bias:
        gates = found[0].shape[0]
        found[2:2] = [np.zeros(gates), np.zeros(gates)]
    return found


def reference(kind: str, layer: Any, rows: np.ndarray, h0: np.ndarray, c0: np.ndarray) -> tuple:
    """Output, final states and final cells for one sequence (T, I) and its initial states (L*D, H)."""
    finals, directions = [], 2 if layer.bidirectional else 1
    for place in range(layer.num_layers):
        outputs = []
        for direction in range(directions):
            k = place * directions + direction
            h, c, w = h0[k], c0[k], weights_of(layer, k)
            walked = []
            for x in rows[::-1] if direction else rows:
                h, c = step(kind, x, h, c, w)
                walked.append(h)
            outputs.append(walked[::-1] if direction else walked)
            finals.append((h, c))
        rows = np.concatenate([np.array(one) for one in outputs], 1)
    return rows, np.array([h for h, _ in finals]), np.array([c for _, c in finals])


def made(kind: str, device: str = "cpu", **options: Any) -> Any:
    layer, own = KINDS[kind]
    devtensor.manual_seed(0)
    return layer(3, 4, **own, **options, dtype=devtensor.float64).to(device)


def states(layer: Any, batch: int) -> tuple[np.ndarray, np.ndarray]:
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    rng = np.random.default_rng(1)
    return rng.normal(size=(count, batch, layer.proj_size or 4)), rng.normal(size=(count, batch, 4))


def given(layer: Any, arrays: Any, device: str = "cpu") -> Any:
    """Initial states as the layer takes them."""
    h, c = (devtensor.tensor(array, device=device) for array in arrays)
    return (h, c) if isinstance(layer, nn.LSTM) else h


def near(found: Any, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found.detach().cpu().numpy(), wanted, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("num_layers", "bidirectional", "bias"), SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_values(kind, num_layers, bidirectional, bias, layout, device):
    options = {"num_layers": num_layers, "bidirectional": bidirectional, "bias": bias}
    layer = made(kind, device, batch_first=layout == "batch_first", **options)
    arrays = states(layer, 4)
    data, hx = devtensor.tensor(DATA, device=device), given(layer, arrays, device)
    lengths = LENGTHS if layout == "packed" else [5] * 4
    if layout == "packed":
        output, last = layer(pack_padded_sequence(data, lengths, enforce_sorted=False), hx)
        assert isinstance(output, PackedSequence)
        output, found = pad_packed_sequence(output)
        assert found.tolist() == lengths
    else:
        output, last = layer(data.transpose(0, 1) if layer.batch_first else data, hx)
        output = output.transpose(0, 1) if layer.batch_first else output
    layer = layer.cpu()
    last = last if isinstance(last, tuple) else (last,)
    for i, length in enumerate(lengths):
        rows, h, c = reference(kind, layer, DATA[:length, i], arrays[0][:, i], arrays[1][:, i])
        near(output[:length, i], rows)
        assert not output[length:, i].any()
        for state, wanted in zip(last, (h, c), strict=False):
            near(state[:, i], wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_initial_states_are_zeros_and_a_batch_is_not_needed(kind):
    layer = made(kind, num_layers=2, bidirectional=True)
    data = devtensor.tensor(DATA)
    zeros = given(layer, [np.zeros_like(array) for array in states(layer, 4)])
    assert layer(data)[0].equal(layer(data, zeros)[0])
    arrays = [array[:, 1] for array in states(layer, 4)]
    alone, end = layer(data[:, 1], given(layer, arrays))
    rows, h, _ = reference(kind, layer, DATA[:, 1], *arrays)
    near(alone, rows)
    near(end[0] if isinstance(end, tuple) else end, h)
    layer.batch_first = True
    assert layer(data[:, 1], given(layer, arrays))[0].equal(alone)


@pytest.mark.parametrize(("kind", "packed"), [(k, p) for k in KINDS for p in (False, True)])
def test_first_and_second_derivatives(kind, packed):
    layer = made(kind, bidirectional=True)
    arrays = states(layer, 4)[: 2 if isinstance(layer, nn.LSTM) else 1]
    shapes = {name: tuple(weight.shape) for name, weight in layer.named_parameters()}

    def run(data: Any, hx: Any, weights: Any) -> Any:
        parts = weights.split([np.prod(shape) for shape in shapes.values()])
        named = {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)}
        hx = hx.split([array.shape[-1] for array in arrays], -1)
        if packed:
            data = pack_padded_sequence(data, [2, 3, 1, 2], enforce_sorted=False)
        output, last = functional_call(layer, named, (data, hx if len(arrays) == 2 else hx[0]))
        last = last if isinstance(last, tuple) else (last,)
        return devtensor.cat([part.flatten() for part in (output.data if packed else output, *last)])

    flat = np.concatenate([weight.detach().numpy().ravel() for weight in layer.parameters()])
    leaves = [devtensor.tensor(array) for array in (DATA[:3], np.concatenate(arrays, -1), flat)]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    assert gradcheck(run, leaves)
    assert gradgradcheck(run, leaves)


CELLS = {"tanh": nn.RNNCell, "relu": nn.RNNCell, "LSTM": nn.LSTMCell, "GRU": nn.GRUCell}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_is_one_step(kind, bias, device):
    own = {"nonlinearity": kind} if CELLS[kind] is nn.RNNCell else {}
    cell = CELLS[kind](3, 4, bias, dtype=devtensor.float64, **own).to(device)
    rng = np.random.default_rng(2)
    x, h, c = (rng.normal(size=size) for size in ((2, 3), (2, 4), (2, 4)))
    tensors = [devtensor.tensor(array, device=device) for array in (x, h, c)]
    hx = tuple(tensors[1:]) if kind == "LSTM" else tensors[1]
    found = cell(tensors[0], hx)
    alone = cell(tensors[0][0], (hx[0][0], hx[1][0]) if kind == "LSTM" else hx[0])
    found, alone = (r if isinstance(r, tuple) else (r,) for r in (found, alone))
    cell = cell.cpu()
    w = [p.detach().numpy() for p in cell.parameters()]
    w += [] if bias else [np.zeros(w[0].shape[0])] * 2
    for i in range(2):
        for part, wanted in zip(found, step(kind, x[i], h[i], c[i], w), strict=False):
            near(part[i], wanted)
    for part, wanted in zip(found, alone, strict=True):
        assert wanted.shape == (4,)
        near(part[0], wanted.detach().cpu().numpy())
    zero = cell(devtensor.tensor(x))
    near((zero if isinstance(zero, tuple) else (zero,))[0][0], step(kind, x[0], h[0] * 0, c[0] * 0, w)[0])


def test_names_and_shapes_of_weights():
    layer = nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    each = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    suffixes = ("_l0", "_l0_reverse", "_l1", "_l1_reverse")
    assert list(layer.state_dict()) == [name + suffix for suffix in suffixes for name in each]
    shapes = {name: tuple(value.shape) for name, value in layer.state_dict().items()}
    assert shapes["weight_ih_l0"] == (16, 3) and shapes["weight_ih_l1_reverse"] == (16, 4)
    assert shapes["weight_hh_l1"] == (16, 2) and shapes["weight_hr_l0"] == (2, 4)
    assert shapes["bias_hh_l0"] == (16,)
    assert tuple(layer.all_weights[0][-1].shape) == (2, 4)


@pytest.mark.parametrize("module", [nn.RNN(3, 100), nn.GRU(3, 100, 2), nn.LSTMCell(3, 100)])
def test_weights_start_within_one_over_the_root_of_the_hidden_size(module):
    for weight in module.parameters():
        values = weight.detach().numpy()
        assert abs(values).max() <= 0.1 and abs(values.mean()) < 0.02
        assert abs(values.std() - 0.1 / 3**0.5) < 0.01


REPRS = {
    "LSTM(3, 4)": lambda: nn.LSTM(3, 4),
    "LSTM(3, 4, proj_size=2, num_layers=2, bias=False, batch_first=True, dropout=0.5, bidirectional=True)": (
        lambda: nn.LSTM(3, 4, 2, False, True, 0.5, True, 2)
    ),
    "RNN(3, 4, num_layers=2)": lambda: nn.RNN(3, 4, 2, "relu"),
    "GRUCell(3, 4, bias=False)": lambda: nn.GRUCell(3, 4, False),
    "RNNCell(3, 4, nonlinearity=relu)": lambda: nn.RNNCell(3, 4, nonlinearity="relu"),
}


@pytest.mark.parametrize("text", REPRS)
def test_repr(text):
    assert repr(REPRS[text]()) == text


def test_copies_keep_their_own_weights():
    layer = nn.GRU(3, 4, 2)
    x = devtensor.randn(5, 2, 3)
    buffer = io.BytesIO(pickle.dumps(layer))
    for other in (copy.deepcopy(layer), pickle.load(buffer)):
        assert other._flat_weights[1] is other.weight_hh_l0 and other.weight_hh_l0 is not layer.weight_hh_l0
        assert other(x)[0].equal(layer(x)[0])
        with devtensor.no_grad():
            other.weight_hh_l0.zero_()
        assert not other(x)[0].equal(layer(x)[0])
    double = copy.deepcopy(layer).double()
    assert double._flat_weights[0].dtype is devtensor.float64
    assert double(x.double())[0].dtype is devtensor.float64


def test_weights_may_be_replaced_by_what_was_computed():
    layer = nn.LSTM(3, 4)
    x, raw = devtensor.randn(5, 2, 3), nn.Parameter(layer.weight_hh_l0.detach().clone())
    before = layer(x)[0]
    del layer._parameters["weight_hh_l0"]
    layer.weight_hh_l0 = raw * 0.5
    assert not layer(x)[0].equal(before)
    layer(x)[0].sum().backward()
    assert raw.grad is not None and raw.grad.any()
    layer._flat_weights[1] = raw * 1.0
    assert layer(x)[0].equal(before)


def test_dropout_acts_between_layers_in_training_alone():
    layer = nn.RNN(3, 4, 2, dropout=1.0)
    x = devtensor.randn(5, 2, 3)
    second = nn.RNN(4, 4)
    second.load_state_dict({k.replace("l1", "l0"): v for k, v in layer.state_dict().items() if "l1" in k})
    assert layer(x)[0].equal(second(devtensor.zeros(5, 2, 4))[0])
    layer.eval()
    layer.dropout = 0.9
    assert layer(x)[0].equal(layer(x)[0]) and not layer(x)[0].equal(second(devtensor.zeros(5, 2, 4))[0])
    layer.train()
    devtensor.manual_seed(3)
    first = layer(x)[0]
    devtensor.manual_seed(3)
    assert first.equal(layer(x)[0]) and not first.equal(layer(x)[0])


def test_final_states_are_not_the_outputs_memory():
    for layer in (nn.RNN(3, 4), nn.LSTM(3, 4), nn.GRU(3, 4)):
        output, last = layer(devtensor.randn(1, 2, 3))
        kept = output.detach().clone()
        (last[0] if isinstance(last, tuple) else last).detach().zero_()
        assert output.equal(kept)


def test_functions_take_padded_and_packed_sequences_by_place_and_by_name():
    layer, x = nn.LSTM(3, 4, 2), devtensor.randn(5, 2, 3)
    hx, weights = (devtensor.zeros(2, 2, 4),) * 2, list(layer.parameters())
    wanted, (h, c) = layer(x)
    found = devtensor.lstm(x, hx, weights, True, 2, 0.0, False, False, False)
    assert found[0].equal(wanted) and found[1].equal(h) and found[2].equal(c)
    packed = pack_padded_sequence(x, [5, 5])
    data, *_ = devtensor.lstm(packed.data, packed.batch_sizes, hx, weights, True, 2, 0.0, False, False)
    assert data.reshape(5, 2, 4).equal(wanted)
    options = {"has_biases": True, "num_layers": 2, "dropout": 0.0, "train": False, "bidirectional": False}
    named = devtensor.lstm(input=x, hx=hx, params=weights, batch_first=False, **options)
    assert named[0].equal(wanted)
    cell = nn.GRUCell(3, 4)
    assert devtensor.gru_cell(x[0], hx[0][0], *cell.parameters()).equal(cell(x[0]))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_in_lower_precision(kind, dtype):
    layer, x = made(kind, num_layers=2), devtensor.tensor(DATA)
    wanted = layer(x)[0]
    found, _ = layer.to(getattr(devtensor, dtype))(x.to(getattr(devtensor, dtype)))
    assert found.dtype is getattr(devtensor, dtype)
    tolerance = {"float32": 1e-6, "float16": 1e-2, "bfloat16": 5e-2}[dtype]
    np.testing.assert_allclose(found.detach().double().numpy(), wanted.detach().numpy(), atol=tolerance)
    found.double().sum().backward()
    assert layer.weight_hh_l0.grad.dtype is getattr(devtensor, dtype)


def test_under_autocast_states_are_in_the_dtypes_that_pytorch_gives():
    x = devtensor.randn(5, 2, 3)
    low, wide = devtensor.bfloat16, devtensor.float32
    for layer, wanted in ((nn.LSTM(3, 4), low), (nn.RNN(3, 4), low), (nn.GRU(3, 4), wide)):
        with devtensor.autocast("cpu", devtensor.bfloat16):
            output, last = layer(x)
        assert output.dtype is wanted and (last[0] if isinstance(last, tuple) else last).dtype is wanted
        output.float().sum().backward()
        assert layer.weight_hh_l0.grad.dtype is wide
    with devtensor.autocast("cpu", devtensor.bfloat16):
        assert nn.LSTMCell(3, 4)(x[0])[0].dtype is wide and nn.GRUCell(3, 4)(x[0]).dtype is wide
        assert nn.RNNCell(3, 4)(x[0]).dtype is low


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_step_is_captured(kind):
    layer = made(kind, num_layers=2, bidirectional=True).float()
    other = copy.deepcopy(layer)

    def train(x: Any, layer: Any = layer) -> Any:
        for weight in layer.parameters():
            weight.grad = None
        loss = layer(x)[0].square().sum()
        loss.backward()
        with devtensor.no_grad():
            for weight in layer.parameters():
                weight.sub_(weight.grad * 0.01)
        return loss.detach()

    captured = graph.capture(train)
    for seed in range(4):
        devtensor.manual_seed(seed)
        x = devtensor.randn(4, 2, 3)
        assert captured(x).equal(train(x, other))
    assert all(a.equal(b) for a, b in zip(layer.parameters(), other.parameters(), strict=True))


def test_packed_lengths_are_read_on_the_host():
    layer, packed = nn.GRU(3, 4), pack_sequence([devtensor.randn(2, 3)])
    with pytest.raises(TraceError):
        graph.capture(lambda data, sizes: layer(PackedSequence(data, sizes))[0].data)(*packed[:2])


def test_older_states_are_understood():
    layer = nn.LSTM(3, 4, 1)
    state = layer.__getstate__()
    state.pop("proj_size")
    state["_all_weights"] = [["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]]
    other = nn.LSTM.__new__(nn.LSTM)
    other.__setstate__(state)
    x = devtensor.randn(5, 2, 3)
    assert other.proj_size == 0 and other(x)[0].equal(layer(x)[0])


def test_one_layer_has_nowhere_to_drop_out():
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        nn.GRU(3, 4, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.GRU(3, 4, 2, dropout=0.5)


def test_a_replica_has_a_list_of_weights_of_its_own():
    layer = nn.GRU(3, 4)
    replica = layer._replicate_for_data_parallel()
    replica.weight_hh_l0 = layer.weight_hh_l0 * 0
    assert layer._flat_weights[1] is layer.weight_hh_l0 and not replica._flat_weights[1].any()


@pytest.mark.parametrize("layer", [nn.RNN, nn.LSTM, nn.GRU])
def test_outputs_may_be_written_over(layer):
    made, x = layer(3, 3).double(), devtensor.randn(4, 2, 3).double().requires_grad_()
    gradients = []
    for residual in (lambda out: out + x, lambda out: out.add_(x)):
        made.zero_grad()
        residual(made(x)[0]).square().sum().backward()
        gradients.append([p.grad.clone() for p in made.parameters()])
    for apart, over in zip(*gradients, strict=True):
        assert devtensor.equal(apart, over)


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.LSTMCell, nn.GRUCell])
def test_states_of_cells_may_be_written_over(cell):
    made, x = cell(3, 3), devtensor.randn(2, 3)
    state = made(x)
    h = state[0] if isinstance(state, tuple) else state
    h.mul_(0.5).sum().backward()
    assert all(p.grad is not None for p in made.parameters())
