"""Recurrent layers as functions of their weights: what PyTorch has as `torch.lstm` and its kin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from devtensor.amp.layer import is_any_autocast_enabled
from devtensor.core.errors import ArgumentTypeError, DTypeError, ShapeError
from devtensor.core.tensor import Tensor
from devtensor.functions.joining import stack
from devtensor.nn.functional.dropout import dropout
from devtensor.ops.create import copy
from devtensor.ops.join import cat
from devtensor.ops.linear import linear
from devtensor.ops.lstm import lstm_layer
from devtensor.ops.norm import in_dtype
from devtensor.ops.recurrent import gru_layer, rnn_layer
from devtensor.ops.shape import as_shape, getitem, permute
from devtensor.ops.steps import Steps, final

__all__ = [
    "gru",
    "lstm",
    "rnn_relu",
    "rnn_tanh",
]

States = tuple[Tensor, ...]


class Weights(NamedTuple):
    """The weights of one layer in one direction; biases and the projection may be None."""

    w_ih: Any
    w_hh: Any
    b_ih: Any = None
    b_hh: Any = None
    w_hr: Any = None


def _seen(data: Any, weights: Weights, both: bool) -> Any:
    """What the inputs of all steps give, in one product; with `both` biases where they are only added."""
    bias = weights.b_ih + weights.b_hh if both and weights.b_ih is not None else weights.b_ih
    return linear(data, weights.w_ih, bias)


def _met(name: str, seen: Any, states: States, lower: bool) -> States:
    """The states beside what the inputs give: under autocast in its dtype if `lower`, else as they are.

    Errors: DTypeError if dtypes differ without autocast.
    """
    if all(state.kind.dtype is seen.kind.dtype for state in states):
        return states
    if not is_any_autocast_enabled():
        raise DTypeError(
            f"[{name}] mat1 and mat2 must have the same dtype, but got a state of "
            f"{states[0].kind.dtype.name} and weights of {seen.kind.dtype.name}; convert one with .to(dtype)"
        )
    return tuple(in_dtype(state, seen.kind.dtype) for state in states) if lower else states


def _plain(nonlinearity: str) -> Callable[..., tuple[Any, States]]:
    def layer(name: str, data: Any, states: States, weights: Weights, steps: Steps, lower: bool) -> Any:
        seen = _seen(data, weights, True)
        (h0,) = _met(name, seen, states, True)
        output = rnn_layer(seen, h0, in_dtype(weights.w_hh, seen.kind.dtype), steps, nonlinearity)
        return output, (final(output, steps),)

    return layer


def _lstm(name: str, data: Any, states: States, weights: Weights, steps: Steps, lower: bool) -> Any:
    seen = _seen(data, weights, True)
    h0, c0 = _met(name, seen, states, lower)
    w_hh, w_hr = (None if w is None else in_dtype(w, seen.kind.dtype) for w in (weights.w_hh, weights.w_hr))
    output, cells, _ = lstm_layer(seen, h0, c0, w_hh, w_hr, steps)
    cell = final(cells, steps)
    if w_hr is not None:
        # Under autocast the cells of projected layers keep the dtype of their states, as in PyTorch.
        cell = in_dtype(cell, states[1].kind.dtype)
    return output, (final(output, steps), cell)


def _gru(name: str, data: Any, states: States, weights: Weights, steps: Steps, lower: bool) -> Any:
    seen = _seen(data, weights, False)
    (h0,) = _met(name, seen, states, False)
    w_hh, b_hh = (None if w is None else in_dtype(w, seen.kind.dtype) for w in (weights.w_hh, weights.b_hh))
    output, _ = gru_layer(seen, h0, w_hh, b_hh, steps)
    return output, (final(output, steps),)


LAYERS: dict[str, Callable[..., tuple[Any, States]]] = {
    "rnn_tanh": _plain("tanh"),
    "rnn_relu": _plain("relu"),
    "lstm": _lstm,
    "gru": _gru,
}
PADDED = [
    "input",
    "hx",
    "params",
    "has_biases",
    "num_layers",
    "dropout",
    "train",
    "bidirectional",
    "batch_first",
]
PACKED = [
    "data",
    "batch_sizes",
    "hx",
    "params",
    "has_biases",
    "num_layers",
    "dropout",
    "train",
    "bidirectional",
]


class Call(NamedTuple):
    """One call of a stack of layers: data (rows of all steps, features), the count of each step's rows."""

    name: str
    data: Any
    counts: list[int]
    states: States
    params: Sequence[Any]
    has_biases: bool
    num_layers: int
    dropout: float
    train: bool
    bidirectional: bool
    padded: bool


def _bound(name: str, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name, of the padded or the packed form.

    Errors: ArgumentTypeError unless each is there once.
    """
    packed = "batch_sizes" in kwargs or "data" in kwargs
    packed = packed or (len(args) > 3 and isinstance(args[3], (list, tuple)))
    names = PACKED if packed else PADDED
    given = dict(zip(names, args, strict=False))
    if len(args) > len(names) or given.keys() & kwargs.keys() or given.keys() | kwargs.keys() != set(names):
        raise ArgumentTypeError(
            f"[{name}] got {len(args)} arguments and {sorted(kwargs)}; it needs ({', '.join(PADDED)}) or "
            f"({', '.join(PACKED)})"
        )
    return given | kwargs


def _layers_of(call: Call) -> list[Weights]:
    """The weights of each layer and direction.

    Errors: ShapeError if there are too many or too few.
    """
    directions = call.num_layers * (2 if call.bidirectional else 1)
    projected = len(call.states) == 2 and call.states[0].shape[-1] != call.states[1].shape[-1]
    each = (4 if call.has_biases else 2) + projected
    if len(call.params) != directions * each:
        raise ShapeError(
            f"[{call.name}] got an incorrect number of RNN parameters: {len(call.params)} for {directions} "
            f"layers and directions; each needs {each}"
        )
    for state in call.states:
        if state.ndim != 3 or state.shape[0] != directions:
            raise ShapeError(
                f"[{call.name}] initial state of shape {tuple(state.shape)}; it needs ({directions}, "
                f"{max(call.counts, default=0)}, size)"
            )
    found = []
    for first in range(0, len(call.params), each):
        own = list(call.params[first : first + each])
        projection = own.pop() if projected else None
        biases = own[2:] or [None, None]
        found.append(Weights(own[0], own[1], biases[0], biases[1], projection))
    return found


def given_away(output: Any) -> Any:
    """The output as memory of its own where backward needs it, for users may write to what they get."""
    return copy(output) if output.requires_grad else output


def _stacked(call: Call) -> tuple[Any, list[Tensor]]:
    """Output rows of the last layer, and the final states of all."""
    weights, data = _layers_of(call), call.data
    starts = (0, *accumulate(call.counts[:-1])) if call.counts else ()
    forward = tuple(zip(starts, call.counts, strict=True))
    walks = (forward, forward[::-1]) if call.bidirectional else (forward,)
    finals: list[States] = []
    for place in range(call.num_layers):
        outputs = []
        for direction, steps in enumerate(walks):
            own = place * len(walks) + direction
            states = tuple(getitem(state, (own,)) for state in call.states)
            output, last = LAYERS[call.name](call.name, data, states, weights[own], steps, call.padded)
            outputs.append(output)
            finals.append(last)
        data = outputs[0] if len(outputs) == 1 else cat(*outputs, dim=1)
        if call.dropout and call.train and place < call.num_layers - 1:
            data = dropout(data, call.dropout)
    data = data if call.bidirectional else given_away(data)
    return data, [stack(states) for states in zip(*finals, strict=True)]


def _recurred(name: str, args: tuple, kwargs: dict[str, Any]) -> tuple[Tensor, ...]:
    given = _bound(name, args, kwargs)
    states = given.pop("hx")
    states = (states,) if isinstance(states, Tensor) else tuple(states)
    if len(states) != (2 if name == "lstm" else 1):
        raise ShapeError(f"[{name}] got {len(states)} hidden states; lstm expects two, all others one")
    if "data" in given:
        counts = given.pop("batch_sizes").tolist()
        output, finals = _stacked(Call(name, counts=counts, states=states, padded=False, **given))
        return output, *finals
    data, batch_first = given.pop("input"), given.pop("batch_first")
    if data.ndim != 3:
        raise ShapeError(f"[{name}] input has shape {tuple(data.shape)}; it needs 3 dims")
    data = permute(data, (1, 0, 2)) if batch_first else data
    length, batch, features = data.array.shape
    rows = as_shape(data, (length * batch, features))
    output, finals = _stacked(
        Call(name, data=rows, counts=[batch] * length, states=states, padded=True, **given)
    )
    output = as_shape(output, (length, batch, output.array.shape[1]))
    return permute(output, (1, 0, 2)) if batch_first else output, *finals


def rnn_tanh(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    """Layers of plain recurrent units with tanh, over padded or packed sequences; gives outputs and states.

    Shapes: input (T, B, I), or (B, T, I) with `batch_first`, hx (L*D, B, H) -> (T, B, D*H), (L*D, B, H);
    packed: data (S, I), batch_sizes (T,) -> (S, D*H), (L*D, B, H)
    Errors: ArgumentTypeError for arguments of neither form, ShapeError if sizes do not fit.
    """
    return _recurred("rnn_tanh", args, kwargs)


def rnn_relu(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    """`rnn_tanh` with relu in place of tanh.

    Shapes: as for `rnn_tanh`
    """
    return _recurred("rnn_relu", args, kwargs)


def gru(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    """Layers of gated recurrent units, over padded or packed sequences; gives outputs and states.

    Shapes: as for `rnn_tanh`
    """
    return _recurred("gru", args, kwargs)


def lstm(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    """Layers of long short-term memory, over padded or packed sequences; gives outputs, states and cells.

    Shapes: as for `rnn_tanh`, hx is (h0, c0) with c0 (L*D, B, H)
    """
    return _recurred("lstm", args, kwargs)
