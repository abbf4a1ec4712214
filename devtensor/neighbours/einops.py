"""einops: its operations on devtensor's tensors.

Its layers (`einops.layers.torch`) import torch: they come with `devtensor.as_torch`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.functions.einsum import einsum
from devtensor.functions.joining import cat, stack
from devtensor.functions.ranges import arange
from devtensor.interop import from_numpy

__all__ = ["introduce"]


class Operations:
    """What einops asks of a library of tensors."""

    framework_name = "devtensor"

    def is_appropriate_type(self, tensor: Any) -> bool:
        return isinstance(tensor, Tensor)

    def from_numpy(self, x: Any) -> Any:
        made: Any = from_numpy(x)
        return made.requires_grad_() if self.is_float_type(made) else made

    def to_numpy(self, x: Any) -> Any:
        return x.detach().cpu().numpy()

    def arange(self, start: int, stop: int) -> Tensor:
        return arange(start, stop)

    def transpose(self, x: Any, axes: Any) -> Any:
        return x.permute(axes)

    def reduce(self, x: Any, operation: str, axes: Any) -> Any:
        if operation in ("any", "all", "prod"):
            for axis in sorted(axes, reverse=True):
                x = getattr(x, operation)(dim=axis)
            return x
        return getattr(x, {"min": "amin", "max": "amax"}.get(operation, operation))(dim=tuple(axes))

    def stack_on_zeroth_dimension(self, tensors: list) -> Any:
        return stack(tensors)

    def add_axis(self, x: Any, new_position: int) -> Any:
        return x.unsqueeze(new_position)

    def add_axes(self, x: Any, n_axes: int, pos2len: dict[int, int]) -> Any:
        sizes = [-1] * n_axes
        for position, length in pos2len.items():
            x = self.add_axis(x, position)
            sizes[position] = length
        return x.expand(sizes)

    def tile(self, x: Any, repeats: Any) -> Any:
        return x.repeat(repeats)

    def concat(self, tensors: Any, axis: int) -> Any:
        return cat(tensors, dim=axis)

    def is_float_type(self, x: Any) -> bool:
        return x.dtype.is_floating_point

    def einsum(self, pattern: str, *x: Any) -> Any:
        return einsum(pattern, *x)


def introduce(module: ModuleType) -> None:
    """Add devtensor to the backends that einops tries: it finds them as subclasses of its own class."""
    base: Any = vars(module).get("AbstractBackend")
    if base is not None:
        # einops looks at subclasses alone, which live as long as somebody holds them.
        vars(module)["DevtensorBackend"] = type("DevtensorBackend", (Operations, base), {})
