"""Recurrent layers over sequences."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable
from typing import Any

from devtensor.amp.layer import is_any_autocast_enabled
from devtensor.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from devtensor.core.tensor import Tensor
from devtensor.nn.functional import recurrent
from devtensor.nn.modules.rnn_cells import GRUCell, LSTMCell, RNNCell, RNNCellBase, spread_by_hidden_size
from devtensor.nn.modules.rnn_weights import FlatWeights
from devtensor.nn.utils.rnn import PackedSequence
from devtensor.ops.create import full_of

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

# By mode: how many gates, and the function of the weights.
MODES: dict[str, tuple[int, Callable[..., tuple]]] = {
    "LSTM": (4, recurrent.lstm),
    "GRU": (3, recurrent.gru),
    "RNN_TANH": (1, recurrent.rnn_tanh),
    "RNN_RELU": (1, recurrent.rnn_relu),
}
SETTINGS = ("mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout")
SETTINGS += ("bidirectional", "proj_size")


def apply_permutation(tensor: Tensor, permutation: Tensor, dim: int = 1) -> Tensor:
    """The older spelling of `tensor.index_select(dim, permutation)`."""
    warnings.warn(
        "`apply_permutation` is deprecated, please use `tensor.index_select(dim, permutation)` instead",
        FutureWarning,
        stacklevel=2,
    )
    return tensor.index_select(dim, permutation)


def _check_settings(module: RNNBase) -> None:
    """Refuse sizes and switches that make no layer.

    Errors: ArgumentTypeError or ArgumentError that names the setting.
    """
    kinds = {"bias": bool, "batch_first": bool, "input_size": int, "hidden_size": int}
    for name, kind in kinds.items():
        value = getattr(module, name)
        if not isinstance(value, kind):
            raise ArgumentTypeError(
                f"[{module.mode}] {name} should be of type {kind.__name__}, got: {value!r}"
            )
    for name in ("input_size", "hidden_size", "num_layers"):
        if getattr(module, name) <= 0:
            raise ArgumentError(
                f"[{module.mode}] {name} must be greater than zero, got {getattr(module, name)}"
            )
    if not 0 <= module.proj_size < module.hidden_size:
        raise ArgumentError(
            f"[{module.mode}] proj_size has to be smaller than hidden_size and 0, for no projections, or "
            f"positive; got {module.proj_size} for hidden_size {module.hidden_size}"
        )
    if module.mode not in MODES:
        raise ArgumentError(
            f"[RNNBase] Unrecognized RNN mode: {module.mode}; it needs one of {', '.join(MODES)}"
        )


def _chance(dropout: Any, num_layers: int) -> float:
    """The chance of dropout.

    Errors: ArgumentError unless it is a number in [0, 1].
    """
    chance: Any = dropout if isinstance(dropout, numbers.Number) and not isinstance(dropout, bool) else -1
    if not 0 <= chance <= 1:
        raise ArgumentError(
            "[RNNBase] dropout should be a number in range [0, 1], the probability of an element being "
            f"zeroed; got {dropout!r}"
        )
    if chance > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
            f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}",
            stacklevel=4,
        )
    return float(chance)


class RNNBase(FlatWeights):
    """What RNN, LSTM and GRU share: weights by layer and direction, checks, and the walk over sequences.

    Errors: TypeError and ValueError for settings that make no layer.
    """

    __constants__ = SETTINGS
    mode: str
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = _chance(dropout, num_layers)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        _check_settings(self)
        self._name_weights()
        for names in self._all_weights:
            self._make_weights(names, MODES[mode][0] * hidden_size, device, dtype)
        self._init_flat_weights()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        spread_by_hidden_size(self)

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Refuse an input of another dtype, of other dims or of another size.

        Errors: ArgumentError for the dtype, ShapeError for the rest.
        """
        wanted: Any = self._flat_weights[0]
        if input.dtype is not wanted.dtype and not is_any_autocast_enabled():
            raise ArgumentError(
                f"[{self.mode}] RNN input dtype ({input.dtype}) does not match weight dtype "
                f"({wanted.dtype}); convert with input.to({wanted.dtype}) or model.to({input.dtype})"
            )
        dims = 3 if batch_sizes is None else 2
        if input.dim() != dims:
            raise ShapeError(f"[{self.mode}] input must have {dims} dimensions, got {input.dim()}")
        if self.input_size != input.shape[-1]:
            raise ShapeError(
                f"[{self.mode}] input.size(-1) must be equal to input_size. Expected {self.input_size}, got "
                f"{input.shape[-1]}"
            )

    def _state_shape(self, input: Tensor, batch_sizes: Any, size: int) -> tuple[int, int, int]:
        place = 0 if self.batch_first else 1
        batch = input.shape[place] if batch_sizes is None else int(batch_sizes[0])
        return self.num_layers * (2 if self.bidirectional else 1), batch, size

    def get_expected_hidden_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """The shape that the initial state must have."""
        return self._state_shape(input, batch_sizes, self.proj_size or self.hidden_size)

    def check_hidden_size(
        self, hx: Tensor, expected_hidden_size: tuple, msg: str = "Expected hidden size {}, got {}"
    ) -> None:
        """Refuse a state of another shape.

        Errors: ShapeError with `msg`.
        """
        if tuple(hx.shape) != tuple(expected_hidden_size):
            raise ShapeError(f"[{self.mode}] " + msg.format(expected_hidden_size, list(hx.shape)))

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Refuse input and state that do not fit this layer.

        Errors: ArgumentError for the dtype, ShapeError for the rest.
        """
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """The states of the batch's sequences in another order."""
        return hx if permutation is None else hx.index_select(1, permutation)

    def _zero_state(self, input: Tensor, batch_sizes: Tensor | None) -> Any:
        return full_of(self.get_expected_hidden_size(input, batch_sizes), 0, input.kind)

    def _check_dims(self, hx: Any, batched: bool) -> None:
        """Refuse a state with a batch for an input without one, and the reverse."""
        if hx.dim() != (3 if batched else 2):
            kind, dims = ("batched 3-D", 3) if batched else ("unbatched 2-D", 2)
            raise ShapeError(
                f"[{self.mode}] For {kind} input, hx should also be {dims}-D but got {hx.dim()}-D tensor"
            )

    def _each_state(self, hx: Any, change: Callable[[Any], Any]) -> Any:
        return change(hx)

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Outputs of the last layer and the final states of all, from a tensor or a PackedSequence."""
        self._update_flat_weights()
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ArgumentError(
                f"[{self._get_name()}] Expected input to be 2D or 3D, got {input.dim()}D instead"
            )
        batched, batch_dim = input.dim() == 3, 0 if self.batch_first else 1
        if hx is not None:
            self._check_dims(hx, batched)
        if not batched:
            input = input.unsqueeze(batch_dim)
            hx = None if hx is None else self._each_state(hx, lambda state: state.unsqueeze(1))
        hx = self._zero_state(input, None) if hx is None else hx
        self.check_forward_args(input, hx, None)
        output, *states = self._run(input, hx, self.batch_first)
        if not batched:
            output, states = output.squeeze(batch_dim), [state.squeeze(1) for state in states]
        return output, self._given_back(states)

    def _forward_packed(self, input: PackedSequence, hx: Any) -> tuple:
        data, batch_sizes, sorted_indices, unsorted_indices = input
        hx = self._zero_state(data, batch_sizes) if hx is None else self.permute_hidden(hx, sorted_indices)
        self.check_forward_args(data, hx, batch_sizes)
        output, *states = self._run(data, hx, batch_sizes=batch_sizes)
        packed = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
        return packed, self.permute_hidden(self._given_back(states), unsorted_indices)

    def _run(self, data: Any, hx: Any, batch_first: bool = False, batch_sizes: Any = None) -> tuple:
        common = (hx, self._flat_weights, self.bias, self.num_layers, self.dropout, self.training)
        function = MODES[self.mode][1]
        if batch_sizes is None:
            return function(data, *common, self.bidirectional, batch_first)
        return function(data, batch_sizes, *common, self.bidirectional)

    def _given_back(self, states: list[Tensor]) -> Any:
        return states[0]

    def extra_repr(self) -> str:
        said = [f"{self.input_size}, {self.hidden_size}"]
        usual = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0}
        for name, value in (usual | {"bidirectional": False}).items():
            if getattr(self, name) != value:
                said.append(f"{name}={getattr(self, name)}")
        return ", ".join(said)


class RNN(RNNBase):
    """Layers of plain recurrent units: tanh or relu of what the input and the step before give.

    Shapes: input (T, B, input_size), or (B, T, input_size) with `batch_first`, or (T, input_size), or a
    PackedSequence; hx (L*D, B, hidden_size) -> (T, B, D*hidden_size), (L*D, B, hidden_size)
    Source: Elman 1990; all weights start evenly spread within 1/sqrt(hidden_size), as in PyTorch.
    Errors: ShapeError if sizes do not fit, ValueError for another nonlinearity or dtype.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ArgumentError("[RNN] proj_size argument is only supported for LSTM, not RNN or GRU")
        if len(args) > 3:
            nonlinearity, args = args[3], args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"[RNN] Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(f"RNN_{nonlinearity.upper()}", *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Layers of long short-term memory.

    Shapes: input (T, B, input_size), or (B, T, input_size) with `batch_first`, or (T, input_size), or a
    PackedSequence; hx is (h0, c0), (L*D, B, P) and (L*D, B, hidden_size) -> (T, B, D*P), (h_n, c_n); P is
    proj_size, or hidden_size if that is 0
    Source: Hochreiter and Schmidhuber 1997 with forget gates; projections by Sak et al. 2014; all weights
    start evenly spread within 1/sqrt(hidden_size), as in PyTorch.
    Errors: ShapeError if sizes do not fit, ArgumentError for another dtype.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """The shape that the initial cells must have."""
        return self._state_shape(input, batch_sizes, self.hidden_size)

    def check_forward_args(self, input: Tensor, hidden: Any, batch_sizes: Tensor | None) -> None:
        """Refuse input and states that do not fit this layer.

        Errors: ArgumentError for the dtype, ShapeError for the rest.
        """
        self.check_input(input, batch_sizes)
        for place, size in enumerate((self.get_expected_hidden_size, self.get_expected_cell_size)):
            message = f"Expected hidden[{place}] size {{}}, got {{}}"
            self.check_hidden_size(hidden[place], size(input, batch_sizes), message)

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """The states of the batch's sequences in another order."""
        if permutation is None:
            return hx
        return hx[0].index_select(1, permutation), hx[1].index_select(1, permutation)

    def _zero_state(self, input: Tensor, batch_sizes: Tensor | None) -> Any:
        cells = full_of(self.get_expected_cell_size(input, batch_sizes), 0, input.kind)
        return super()._zero_state(input, batch_sizes), cells

    def _check_dims(self, hx: Any, batched: bool) -> None:
        wanted, kind = (3, "batched 3-D") if batched else (2, "unbatched 2-D")
        if hx[0].dim() != wanted or hx[1].dim() != wanted:
            raise ShapeError(
                f"[LSTM] For {kind} input, hx and cx should also be {wanted}-D but got ({hx[0].dim()}-D, "
                f"{hx[1].dim()}-D) tensors"
            )

    def _each_state(self, hx: Any, change: Callable[[Any], Any]) -> Any:
        return change(hx[0]), change(hx[1])

    def _given_back(self, states: list[Tensor]) -> Any:
        return tuple(states)


class GRU(RNNBase):
    """Layers of gated recurrent units; the reset gate acts behind the matrix.

    Shapes: as for RNN
    Source: Cho et al. 2014; all weights start evenly spread within 1/sqrt(hidden_size), as in PyTorch.
    Errors: ShapeError if sizes do not fit, ArgumentError for another dtype.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ArgumentError("[GRU] proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)
