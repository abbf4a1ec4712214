"""What recurrent layers and their cells refuse, and what they say."""

from __future__ import annotations

from typing import Any

import pytest

import devtensor
from devtensor import nn
from devtensor.core.errors import ArgumentTypeError, DTypeError, ShapeError
from devtensor.nn.utils.rnn import PackedSequence

X = devtensor.zeros(5, 2, 3)


WRONG: dict[str, tuple[Any, type, str]] = {
    "dropout": (lambda: nn.LSTM(3, 4, 2, dropout=2), ValueError, r"in range \[0, 1\]"),
    "a truth for dropout": (lambda: nn.LSTM(3, 4, 2, dropout=True), ValueError, "should be a number"),
    "a size that is no int": (lambda: nn.LSTM(3.0, 4), TypeError, "input_size should be of type int"),
    "no hidden size": (lambda: nn.GRU(3, 0), ValueError, "hidden_size must be greater than zero"),
    "no layers": (lambda: nn.GRU(3, 4, 0), ValueError, "num_layers must be greater"),
    "bias of numbers": (lambda: nn.GRU(3, 4, bias=1), TypeError, "bias should be of type bool"),
    "nonlinearity": (lambda: nn.RNN(3, 4, 1, "cos"), ValueError, "Unknown nonlinearity 'cos'"),
    "projected GRU": (lambda: nn.GRU(3, 4, proj_size=2), ValueError, "only supported for LSTM"),
    "projected RNN": (lambda: nn.RNN(3, 4, proj_size=2), ValueError, "only supported for LSTM"),
    "wide projection": (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, "smaller than hidden_size"),
    "mode": (lambda: nn.RNNBase("CNN", 3, 4), ValueError, "Unrecognized RNN mode: CNN"),
    "dims": (lambda: nn.LSTM(3, 4)(X[0, 0]), ValueError, "2D or 3D, got 1D"),
    "input size": (lambda: nn.LSTM(2, 4)(X), ShapeError, "Expected 2, got 3"),
    "input dtype": (lambda: nn.LSTM(3, 4)(X.double()), ValueError, "does not match weight dtype"),
    "no steps": (lambda: nn.GRU(3, 4)(X[:0]), ShapeError, "larger than 0"),
    "state shape": (lambda: nn.GRU(3, 4)(X, devtensor.zeros(1, 3, 4)), ShapeError, "Expected hidden size"),
    "cell shape": (
        lambda: nn.LSTM(3, 4)(X, (devtensor.zeros(1, 2, 4), devtensor.zeros(1, 2, 5))),
        ShapeError,
        r"Expected hidden\[1\] size",
    ),
    "state without a batch": (lambda: nn.GRU(3, 4)(X, devtensor.zeros(1, 4)), ShapeError, "also be 3-D"),
    "state with a batch": (
        lambda: nn.LSTM(3, 4)(X[:, 0], (devtensor.zeros(1, 1, 4),) * 2),
        ShapeError,
        "unbatched 2-D input",
    ),
    "state dtype": (lambda: nn.GRU(3, 4)(X, devtensor.zeros(1, 2, 4).double()), DTypeError, "same dtype"),
    "packed dims": (lambda: nn.GRU(3, 4)(PackedSequence(X, devtensor.ones(5))), ShapeError, "2 dimensions"),
    "cell's input dims": (lambda: nn.LSTMCell(3, 4)(X), ValueError, "1D or 2D, got 3D"),
    "cell's state dims": (lambda: nn.GRUCell(3, 4)(X[0], X), ValueError, "Expected hidden to be 1D or 2D"),
    "cell's states' dims": (lambda: nn.LSTMCell(3, 4)(X[0], (X, X)), ValueError, r"Expected hx\[0\]"),
    "cell's input size": (lambda: nn.GRUCell(2, 4)(X[0]), ShapeError, "inconsistent input_size: got 3"),
    "cell's batch": (lambda: nn.GRUCell(3, 4)(X[0], devtensor.zeros(3, 4)), ShapeError, "batch size 2"),
    "cell's hidden size": (
        lambda: nn.GRUCell(3, 4)(X[0], devtensor.zeros(2, 5)),
        ShapeError,
        "hidden_size: got 5",
    ),
    "cell's nonlinearity": (lambda: nn.RNNCell(3, 4, True, "cos")(X[0]), RuntimeError, "Unknown nonlin"),
    "arguments": (lambda: devtensor.gru(X, X), ArgumentTypeError, "it needs"),
    "weights": (
        lambda: devtensor.gru(X, devtensor.zeros(1, 2, 4), [X], True, 1, 0.0, False, False, False),
        ShapeError,
        "incorrect number of RNN parameters",
    ),
    "states": (
        lambda: devtensor.lstm(X, (X,), [X], True, 1, 0.0, False, False, False),
        ShapeError,
        "lstm expects two",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_refusals(name):
    call, error, words = WRONG[name]
    with pytest.raises(error, match=words):
        call()
