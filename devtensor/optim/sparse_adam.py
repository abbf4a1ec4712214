"""SparseAdam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from devtensor.core.errors import OptionError
from devtensor.optim.update_rule import UpdateRule


class SparseAdam(UpdateRule):
    """Adam for gradients that are sparse tensors.

    There are none here: gradients are dense, and a step says so, as PyTorch's does for dense gradients.

    Errors: ArgumentError for hyperparameters and parameters that PyTorch refuses; OptionError in a step.
    """

    defaults: Mapping[str, Any] = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, maximize=False)
    settings: Mapping[str, Any] = {}

    def __init__(self, params: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(params, *args, **kwargs)
        found = [
            [number, place]
            for number, group in enumerate(self.param_groups)
            for place, p in enumerate(group["params"])
            if p.is_complex()
        ]
        self.refuse(
            found, f"Complex params at indices {found}: SparseAdam does not support complex parameters"
        )

    def check(self, values: Mapping[str, Any]) -> None:
        super().check(values)
        for name, text in (("lr", "learning rate"), ("eps", "epsilon value")):
            self.refuse(not values[name] > 0, f"Invalid {text}: {values[name]}; it must be above 0")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Refuse: the gradients are dense."""
        loss = None if closure is None else closure()
        if any(p.grad is not None for p in self._parameters()):
            raise OptionError(
                "[SparseAdam] SparseAdam does not support dense gradients, please consider Adam instead; "
                "gradients are never sparse here"
            )
        return loss
