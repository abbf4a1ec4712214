"""Recurrent cells: single steps of the recurrent layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentError, OptionError
from devtensor.core.tensor import Tensor
from devtensor.nn import init
from devtensor.nn.functional import recurrent_cells
from devtensor.nn.modules.fresh import parameter
from devtensor.nn.modules.module import Module
from devtensor.ops.create import full_of


def spread_by_hidden_size(module: Any) -> None:
    """Spread all parameters evenly within 1/sqrt(hidden_size)."""
    limit = 1 / math.sqrt(module.hidden_size) if module.hidden_size > 0 else 0
    for weight in module.parameters():
        init.uniform_(weight, -limit, limit)


class RNNCellBase(Module):
    """What RNNCell, LSTMCell and GRUCell share."""

    __constants__ = ("input_size", "hidden_size", "bias")
    input_size: int
    hidden_size: int
    bias: bool
    weight_ih: Any
    weight_hh: Any
    bias_ih: Any
    bias_hh: Any

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = num_chunks * hidden_size
        self.weight_ih = parameter(gates, input_size, device=device, dtype=dtype)
        self.weight_hh = parameter(gates, hidden_size, device=device, dtype=dtype)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, parameter(gates, device=device, dtype=dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        spread_by_hidden_size(self)

    def extra_repr(self) -> str:
        said = f"{self.input_size}, {self.hidden_size}" + ("" if self.bias is True else f", bias={self.bias}")
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        return said if nonlinearity == "tanh" else f"{said}, nonlinearity={nonlinearity}"

    def _step(self, function: Callable[..., Any], input: Any, states: tuple | None, pair: bool) -> Any:
        """One step of `function`, for inputs with and without a batch.

        Errors: ArgumentError for inputs or states of other dims.
        """
        name = self._get_name()
        if input.dim() not in (1, 2):
            raise ArgumentError(f"[{name}] Expected input to be 1D or 2D, got {input.dim()}D instead")
        for place, state in enumerate(states or ()):
            if state.dim() not in (1, 2):
                what = f"hx[{place}]" if pair else "hidden"
                raise ArgumentError(f"[{name}] Expected {what} to be 1D or 2D, got {state.dim()}D instead")
        batched = input.dim() == 2
        input = input if batched else input.unsqueeze(0)
        if states is None:
            states = (full_of((input.shape[0], self.hidden_size), 0, input.kind),) * (2 if pair else 1)
        elif not batched:
            states = tuple(state.unsqueeze(0) for state in states)
        weights = self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh
        result = function(input, states if pair else states[0], *weights)
        if batched:
            return result
        return tuple(part.squeeze(0) for part in result) if pair else result.squeeze(0)


class RNNCell(RNNCellBase):
    """One step of a plain recurrent unit, with tanh or relu.

    Shapes: input (B, input_size) or (input_size,), hx (B, hidden_size) or (hidden_size,) -> as hx
    Source: Elman 1990; all weights start evenly spread within 1/sqrt(hidden_size), as in PyTorch.
    Errors: ShapeError if sizes do not fit, OptionError for another nonlinearity.
    """

    __constants__ = ("input_size", "hidden_size", "bias", "nonlinearity")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        functions = {"tanh": recurrent_cells.rnn_tanh_cell, "relu": recurrent_cells.rnn_relu_cell}
        if self.nonlinearity not in functions:
            raise OptionError(f"[RNNCell] Unknown nonlinearity: {self.nonlinearity}; it needs tanh or relu")
        return self._step(functions[self.nonlinearity], input, None if hx is None else (hx,), False)


class LSTMCell(RNNCellBase):
    """One step of long short-term memory.

    Shapes: input (B, input_size) or (input_size,), hx twice (B, hidden_size) or (hidden_size,) -> as hx
    Source: as for LSTM; all weights start evenly spread within 1/sqrt(hidden_size), as in PyTorch.
    Errors: ShapeError if sizes do not fit.
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        states = None if hx is None else recurrent_cells.state_and_cell("LSTMCell", hx)
        return self._step(recurrent_cells.lstm_cell, input, states, True)


class GRUCell(RNNCellBase):
    """One step of a gated recurrent unit; the reset gate acts behind the matrix.

    Shapes: input (B, input_size) or (input_size,), hx (B, hidden_size) or (hidden_size,) -> as hx
    Source: Cho et al. 2014; all weights start evenly spread within 1/sqrt(hidden_size), as in PyTorch.
    Errors: ShapeError if sizes do not fit.
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(recurrent_cells.gru_cell, input, None if hx is None else (hx,), False)
