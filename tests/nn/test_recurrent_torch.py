"""Recurrent layers and packed sequences against PyTorch itself: an optional run (--oracle torch)."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

import devtensor
from devtensor.core.errors import DevtensorError

RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(6, 4, 3))
LENGTHS = [4, 6, 1, 4]
LAYERS = """
nn.RNN(3, 5)
nn.RNN(3, 5, 2, 'relu', bidirectional=True)
nn.RNN(3, 5, 2, bias=False, batch_first=True)
nn.LSTM(3, 5)
nn.LSTM(3, 5, 2, bidirectional=True)
nn.LSTM(3, 5, 2, bias=False, batch_first=True, bidirectional=True, proj_size=2)
nn.LSTM(3, 5, 3, proj_size=4)
nn.GRU(3, 5)
nn.GRU(3, 5, 2, batch_first=True)
nn.GRU(3, 5, 2, bias=False, bidirectional=True)
""".strip().splitlines()


def outcome(library: Any, layer: Any, form: str, with_states: bool) -> dict[str, np.ndarray]:
    """What the layer gives for one form of input, and the gradients of everything."""
    x = library.tensor(DATA, requires_grad=True)
    data = x[:, 0] if form == "alone" else x.transpose(0, 1) if layer.batch_first else x
    hx = None
    if with_states:
        count = layer.num_layers * (2 if layer.bidirectional else 1)
        rng = np.random.default_rng(1)
        sizes = (layer.proj_size or 5, 5) if isinstance(layer, library.nn.LSTM) else (5,)
        shapes = [(count, size) if form == "alone" else (count, 4, size) for size in sizes]
        hx = tuple(library.tensor(rng.normal(size=shape)) for shape in shapes)
        hx = hx if len(hx) == 2 else hx[0]
    rnn = library.nn.utils.rnn
    if form == "packed":
        data = rnn.pack_padded_sequence(data, LENGTHS, layer.batch_first, enforce_sorted=False)
    output, last = layer(data, hx)
    results = [output.data if form == "packed" else output, *(last if isinstance(last, tuple) else (last,))]
    loss = sum((result * result.sin()).sum() for result in results)
    (g,) = library.autograd.grad(loss, x, create_graph=True)
    (loss + g.square().sum()).backward()
    found = {str(k): result for k, result in enumerate(results)} | {"x": x.grad}
    found |= {name: weight.grad for name, weight in layer.named_parameters()}
    return {name: value.detach().numpy() for name, value in found.items()}


@pytest.mark.parametrize("with_states", [False, True])
@pytest.mark.parametrize("form", ["padded", "packed", "alone"])
@pytest.mark.parametrize("text", LAYERS)
def test_layers(text, form, with_states, torch):
    theirs = eval(text, {"nn": torch.nn}).double()
    ours = eval(text, {"nn": devtensor.nn}).double()
    assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    buffer = io.BytesIO()
    torch.save(theirs.state_dict(), buffer)
    buffer.seek(0)
    ours.load_state_dict(devtensor.load(buffer))
    wanted = outcome(torch, theirs, form, with_states)
    for name, found in outcome(devtensor, ours, form, with_states).items():
        np.testing.assert_allclose(found, wanted[name], rtol=1e-8, atol=1e-10, err_msg=name)
        assert found.strides == wanted[name].strides or name not in "012"


# What is called, in the names below; what PyTorch refuses must be refused with the same kind of error.
CALLS = """
pack_padded_sequence(x, [6, 4, 4, 1])
pack_padded_sequence(x, [1, 4, 6, 4], enforce_sorted=False)
pack_padded_sequence(x, [6, 4, 4])
pack_padded_sequence(x, [6, 4, 4, 0])
pack_padded_sequence(x, [1, 4, 6, 4])
pack_padded_sequence(x, lengths.view(2, 2))
pack_padded_sequence(x.transpose(0, 1), lengths, True, False)
pack_sequence([x[:3, 0], x[:2, 1]])
pack_sequence([x[:2, 0], x[:3, 1]])
pack_sequence([x[:2, 0], x[:3, 1]], False)
pack_sequence([])
pad_packed_sequence(pack_padded_sequence(x, lengths, enforce_sorted=False))
pad_packed_sequence(pack_padded_sequence(x, lengths, enforce_sorted=False), True, -1.5, 8)
pad_packed_sequence(pack_padded_sequence(x, lengths, enforce_sorted=False), total_length=5)
unpack_sequence(pack_padded_sequence(x, lengths, enforce_sorted=False))
pad_sequence([x[:2, 0], x[:3, 1]], padding_side='left', padding_value=2.0)
pad_sequence([x[:2, 0], x[:3, 1]], True)
invert_permutation(lengths.argsort())
PackedSequence(x, lengths, lengths.argsort())
PackedSequence((x, lengths))
PackedSequence(x)
""".strip().splitlines()


def flat(value: Any) -> list:
    """Arrays, and None, in the order in which they stand."""
    if isinstance(value, (tuple, list)):
        return [part for one in value for part in flat(one)]
    return [value if value is None else value.numpy()]


@pytest.mark.parametrize("call", CALLS)
def test_packing(call, torch):
    outcomes = []
    for library in (torch, devtensor):
        names = vars(library.nn.utils.rnn) | {"x": library.tensor(DATA), "lengths": library.tensor(LENGTHS)}
        try:
            outcomes.append(flat(eval(call, dict(names))))
        except Exception as error:
            outcomes.append(error)
    wanted, found = outcomes
    if isinstance(wanted, Exception):
        assert isinstance(found, type(wanted)) and isinstance(found, (DevtensorError, AssertionError))
        return
    assert not isinstance(found, Exception), found
    for ours, theirs in zip(found, wanted, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert ours.dtype == theirs.dtype and ours.strides == theirs.strides
            np.testing.assert_array_equal(ours, theirs)


CELLS = {"RNNCell": ("rnn_tanh_cell", 1), "LSTMCell": ("lstm_cell", 2), "GRUCell": ("gru_cell", 1)}


@pytest.mark.parametrize("form", ["layer", "function", "autocast"])
@pytest.mark.parametrize("name", CELLS)
def test_cells(name, form, torch):
    results, weights = [], None
    for library in (torch, devtensor):
        cell = getattr(library.nn, name)(3, 5)
        if weights is None:
            weights = {key: value.numpy() for key, value in cell.state_dict().items()}
        cell.load_state_dict({key: library.tensor(value) for key, value in weights.items()})
        x, h = library.tensor(DATA[0]).float(), library.tensor(DATA[:5, :, 0].T.copy()).float()
        hx = (h, h * 2) if CELLS[name][1] == 2 else h
        with library.autocast("cpu", library.bfloat16, enabled=form == "autocast"):
            function = getattr(library, CELLS[name][0])
            made = function(x, hx, *cell.parameters()) if form == "function" else cell(x, hx)
        results.append(made if isinstance(made, tuple) else (made,))
    tolerance = 2e-2 if form == "autocast" else 1e-6
    for theirs, ours in zip(*results, strict=True):
        assert str(ours.dtype).partition(".")[2] == str(theirs.dtype).partition(".")[2]
        wanted = theirs.detach().float().numpy()
        np.testing.assert_allclose(ours.detach().float().numpy(), wanted, atol=tolerance)
