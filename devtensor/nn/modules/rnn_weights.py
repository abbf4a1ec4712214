"""The weights of recurrent layers: their names, and the list of them that `forward` uses."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Self

from devtensor.core.tensor import Tensor
from devtensor.nn.modules.fresh import parameter
from devtensor.nn.modules.module import Module
from devtensor.nn.parameter import Parameter


def _names(bias: bool, projected: bool, suffix: str) -> list[str]:
    """The names of one layer's weights in one direction."""
    names = ["weight_ih", "weight_hh"]
    names += ["bias_ih", "bias_hh"] if bias else []
    names += ["weight_hr"] if projected else []
    return [name + suffix for name in names]


class FlatWeights(Module):
    """What RNNBase knows of its weights, by layer and direction.

    `_flat_weights` holds the weights that `forward` uses, in the order of `_flat_weights_names`; a weight
    that is assigned as an attribute, be it a Parameter or not, is put there, too.
    """

    __jit_unused_properties__ = ("all_weights",)
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    bidirectional: bool
    proj_size: int
    _flat_weights: list[Any]
    _flat_weight_refs: list[Any]
    _flat_weights_names: list[str]
    _all_weights: list[list[str]]

    def _name_weights(self) -> None:
        suffixes = ("", "_reverse") if self.bidirectional else ("",)
        self._all_weights = [
            _names(self.bias, self.proj_size > 0, f"_l{layer}{suffix}")
            for layer in range(self.num_layers)
            for suffix in suffixes
        ]
        self._flat_weights = []
        self._flat_weights_names = [name for names in self._all_weights for name in names]

    def _make_weights(self, names: list[str], gates: int, device: Any, dtype: Any) -> None:
        seen = self.proj_size or self.hidden_size
        first = names[0].startswith("weight_ih_l0")
        shapes = {
            "weight_ih": (gates, self.input_size if first else seen * (2 if self.bidirectional else 1)),
            "weight_hh": (gates, seen),
            "weight_hr": (self.proj_size, self.hidden_size),
        }
        for name in names:
            shape = shapes.get(name[: len("weight_ih")], (gates,))
            self.register_parameter(name, parameter(*shape, device=device, dtype=dtype))

    def _init_flat_weights(self) -> None:
        self._flat_weights = [getattr(self, name, None) for name in self._flat_weights_names]
        self._remember_weights()
        self.flatten_parameters()

    def _remember_weights(self) -> None:
        self._flat_weight_refs = [None if w is None else weakref.ref(w) for w in self._flat_weights]

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_flat_weights_names", ()) and self._flat_weights:
            self._flat_weights[self._flat_weights_names.index(name)] = value
        super().__setattr__(name, value)

    def flatten_parameters(self) -> None:
        """Nothing: weights are used where they are."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        self._init_flat_weights()
        return self

    def _weights_have_changed(self) -> bool:
        """Whether a weight is another object than when it was last looked at."""
        found = zip(self._flat_weight_refs, self._flat_weights_names, strict=True)
        return any(
            ref is not None and ref() is not weight
            for ref, weight in ((ref, getattr(self, name, None)) for ref, name in found)
            if weight is not None
        )

    def _update_flat_weights(self) -> None:
        if self._weights_have_changed():
            self._init_flat_weights()

    def __getstate__(self) -> dict[str, Any]:
        self._update_flat_weights()
        state = super().__getstate__()
        del state["_flat_weight_refs"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("proj_size", 0)
        if "all_weights" in state:
            self._all_weights = state["all_weights"]
        if not isinstance(self._all_weights[0][0], str):
            self._name_weights()
            self._flat_weights = [getattr(self, name, None) for name in self._flat_weights_names]
        self._remember_weights()

    def _replicate_for_data_parallel(self) -> Self:
        replica = super()._replicate_for_data_parallel()
        replica._flat_weights = list(self._flat_weights)
        replica._flat_weights_names = list(self._flat_weights_names)
        return replica

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The weights of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]
