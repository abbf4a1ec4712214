"""One step of a recurrent layer as a function: what PyTorch has as `torch.lstm_cell` and its kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.core.errors import ArgumentTypeError, ShapeError
from devtensor.core.tensor import Tensor
from devtensor.nn.functional.recurrent import LAYERS, States, Weights, given_away

__all__ = ["gru_cell", "lstm_cell", "rnn_relu_cell", "rnn_tanh_cell"]


def _cell(name: str, input: Any, states: States, weights: Weights) -> States:
    """One step.

    Errors: ShapeError that says which size does not fit.
    """
    if input.ndim != 2 or any(state.ndim != 2 for state in states):
        raise ShapeError(
            f"[{name}] input {tuple(input.shape)}, states {[tuple(s.shape) for s in states]}; all need 2 dims"
        )
    if input.shape[1] != weights.w_ih.shape[1]:
        raise ShapeError(
            f"[{name}] input has inconsistent input_size: got {input.shape[1]} expected "
            f"{weights.w_ih.shape[1]}"
        )
    for place, state in enumerate(states):
        if state.shape[0] != input.shape[0]:
            raise ShapeError(
                f"[{name}] Input batch size {input.shape[0]} doesn't match hidden{place} batch size "
                f"{state.shape[0]}"
            )
        if state.shape[1] != weights.w_hh.shape[1]:
            raise ShapeError(
                f"[{name}] hidden{place} has inconsistent hidden_size: got {state.shape[1]}, expected "
                f"{weights.w_hh.shape[1]}"
            )
    layer = LAYERS[name.removesuffix("_cell")]
    made = layer(name, input, states, weights, ((0, input.shape[0]),), False)[1]
    return tuple(given_away(state) for state in made)


def rnn_tanh_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step of a plain recurrent unit with tanh.

    Shapes: input (B, I), hx (B, H), w_ih (H, I), w_hh (H, H), b_ih, b_hh (H,) -> (B, H)
    Errors: ShapeError if sizes do not fit.
    """
    return _cell("rnn_tanh_cell", input, (hx,), Weights(w_ih, w_hh, b_ih, b_hh))[0]


def rnn_relu_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step of a plain recurrent unit with relu.

    Shapes: as for `rnn_tanh_cell`
    """
    return _cell("rnn_relu_cell", input, (hx,), Weights(w_ih, w_hh, b_ih, b_hh))[0]


def gru_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """One step of a gated recurrent unit.

    Shapes: input (B, I), hx (B, H), w_ih (3*H, I), w_hh (3*H, H), b_ih, b_hh (3*H,) -> (B, H)
    Errors: ShapeError if sizes do not fit.
    """
    return _cell("gru_cell", input, (hx,), Weights(w_ih, w_hh, b_ih, b_hh))[0]


def state_and_cell(name: str, hx: Any) -> tuple[Tensor, Tensor]:
    """The two that a step of long short-term memory begins with.

    Errors: ArgumentTypeError for anything but two.
    """
    if not isinstance(hx, (tuple, list)) or len(hx) != 2:
        raise ArgumentTypeError(f"[{name}] hx is a {type(hx).__name__}; it must be two Tensors: (h, c)")
    return hx[0], hx[1]


def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of long short-term memory; gives the new state and cell.

    Shapes: input (B, I), hx twice (B, H), w_ih (4*H, I), w_hh (4*H, H), b_ih, b_hh (4*H,) -> (B, H), (B, H)
    Errors: ShapeError if sizes do not fit, ArgumentTypeError for states that are no two tensors.
    """
    h, c = _cell("lstm_cell", input, state_and_cell("lstm_cell", hx), Weights(w_ih, w_hh, b_ih, b_hh))
    return h, c
