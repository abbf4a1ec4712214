"""PyTorch's two functions beneath GradScaler, by the names that scalers of a stranger's call them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.amp.unscaling import adapt_scale, unscale_all
from devtensor.core.dtype import DType, float32, int32
from devtensor.core.errors import ArgumentTypeError, AutogradError, DTypeError
from devtensor.core.lists import grouped
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor


def _one_element(function: str, name: str, value: Any, dtype: DType) -> Any:
    """A 0-d view of a tensor of one element.

    Errors: ArgumentTypeError for what is no tensor, AutogradError for another size or dtype.
    """
    if not isinstance(value, Tensor):
        raise ArgumentTypeError(f"[{function}] {name} must be a Tensor; got {type(value).__name__}")
    if value.shape.numel() != 1:
        raise AutogradError(
            f"[{function}] {name} must be a 1-element tensor; got the shape {tuple(value.shape)}"
        )
    if value.dtype is not dtype:
        what = "an int" if dtype is int32 else "a float"
        raise AutogradError(f"[{function}] {name} must be {what} tensor, of {dtype}; got {value.dtype}")
    return value.view(()) if value.array.ndim else value  # type: ignore[attr-defined]


def _amp_foreach_non_finite_check_and_unscale_(
    self: Sequence[Tensor], found_inf: Tensor, inv_scale: Tensor
) -> None:
    """Multiply tensors by `inv_scale` in place; `found_inf` becomes 1 if one of the results is not finite.

    Shapes: self [(*S), ...], found_inf (), inv_scale ()
    Errors: ArgumentTypeError for what is no list of tensors, DTypeError for tensors that are no real
    floating-point numbers, AutogradError unless `found_inf` and `inv_scale` are one float32 each.
    """
    function = "_amp_foreach_non_finite_check_and_unscale_"
    if not isinstance(self, (list, tuple)) or not all(isinstance(t, Tensor) for t in self):
        raise ArgumentTypeError(f"[{function}] self must be a tuple of Tensors; got {type(self).__name__}")
    inverse = _one_element(function, "inv_scale", inv_scale, float32)
    found = _one_element(function, "found_inf", found_inf, float32)
    for tensor in self:
        if not tensor.dtype.is_floating_point:
            raise DTypeError(f"[{function}] not implemented for {tensor.dtype.name}; it scales gradients")
    with no_grad():
        for _, (group,) in grouped(self):
            unscale_all(group, inverse, found)


def _amp_update_scale_(
    input: Tensor,
    growth_tracker: Tensor,
    found_inf: Tensor,
    scale_growth_factor: float,
    scale_backoff_factor: float,
    growth_interval: int,
) -> Tensor:
    """Write the next loss scale into `input`, and the next count of good steps into `growth_tracker`.

    The scale times `scale_backoff_factor` and 0 where `found_inf` is not 0; after `growth_interval` good
    steps the scale times `scale_growth_factor`, if that is finite, and 0.

    Shapes: input (), growth_tracker (), found_inf () -> input itself
    Errors: ArgumentTypeError for factors and an interval that are no numbers, AutogradError unless scale and
    flag are one float32 each and the count is one int32.
    """
    function = "_amp_update_scale_"
    for name, value, kinds in (
        ("scale_growth_factor", scale_growth_factor, (int, float)),
        ("scale_backoff_factor", scale_backoff_factor, (int, float)),
        ("growth_interval", growth_interval, int),
    ):
        if not isinstance(value, kinds):
            wanted = "int" if kinds is int else "float"
            raise ArgumentTypeError(f"[{function}] {name} must be {wanted}, not {type(value).__name__}")
    count = _one_element(function, "growth_tracker", growth_tracker, int32)
    scale = _one_element(function, "current_scale", input, float32)
    found = _one_element(function, "found_inf", found_inf, float32)
    adapt_scale([found], scale, count, scale_growth_factor, scale_backoff_factor, growth_interval)
    return input
