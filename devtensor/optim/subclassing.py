"""What authors of optimizers for PyTorch import beside `Optimizer`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from devtensor.core.device import Device
from devtensor.core.dtype import default_dtype, float32, float64
from devtensor.core.errors import OptionError
from devtensor.core.feed import depend
from devtensor.core.state import set_grad_enabled
from devtensor.core.tensor import Tensor
from devtensor.ops.parts import view_as_real

DeviceDict = dict[Device | None, Tensor]
DeviceDtypeDict = dict[tuple[Device, Any] | None, Tensor]

# Pieces from which docstrings of optimizers are put together.
_params_doc = """params (iterable): parameters, (name, parameter) pairs, or dicts that describe groups"""
_foreach_doc = """foreach (bool, optional): accepted; there is one implementation (default: None)"""
_fused_doc = """fused (bool, optional): accepted; there is one implementation (default: None)"""
_capturable_doc = """capturable (bool, optional): accepted; every step can be captured (default: False)"""
_differentiable_doc = """differentiable (bool, optional): let autograd see the step (default: False)"""
_maximize_doc = """maximize (bool, optional): climb instead of descending (default: False)"""


class _RequiredParameter:
    """Stands for the default of a hyperparameter that every group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _RequiredParameter()


def _use_grad_for_differentiable(func: Callable) -> Callable:
    """A `step` that records for autograd only if the optimizer is differentiable."""

    @functools.wraps(func)
    def stepped(self: Any, *args: Any, **kwargs: Any) -> Any:
        with set_grad_enabled(bool(self.defaults.get("differentiable"))):
            return func(self, *args, **kwargs)

    return stepped


def _disable_dynamo_if_unsupported(
    single_tensor_fn: Callable | None = None,
) -> Callable[[Callable], Callable]:
    """A decorator that leaves the function as it is."""
    return lambda func: func


def _get_value(x: Any) -> Any:
    """A tensor's number, read on the host; numbers stay."""
    return x.item() if isinstance(x, Tensor) else x


def _dispatch_sqrt(x: Any) -> Any:
    """The square root of a tensor or a number."""
    return x.sqrt() if isinstance(x, Tensor) else x**0.5


def _stack_if_compiling(x: Any) -> Any:
    """The list as it is."""
    return x


def _to_scalar(x: Any) -> Any:
    """A tensor of one element as a 0-d tensor; numbers stay."""
    return x.reshape(()) if isinstance(x, Tensor) and x.ndim else x


def _default_to_fused_or_foreach(
    params: list[Any], differentiable: bool, use_fused: bool = False
) -> tuple[bool, bool]:
    """Whether (fused, foreach) implementations are worth it: neither, loops over tensors are as fast."""
    return False, False


def _device_dtype_check_for_fused(p: Any, cuda_unsupported: bool = False) -> None:
    """Refuse parameters that are not floating-point numbers.

    Errors: OptionError.
    """
    if not p.is_floating_point():
        raise OptionError(
            f"[fused] `fused=True` requires all the params to be floating point Tensors; one is {p.dtype}"
        )


def _view_as_real(params: list[Any], *state_and_grads: list[Any]) -> None:
    """Replace complex parameters in a list, and what belongs to them in others, by views of their parts."""
    for place, p in enumerate(params):
        if p.is_complex():
            for tensors in (params, *state_and_grads):
                tensors[place] = view_as_real(tensors[place])


def _get_scalar_dtype(is_fused: bool | None = None) -> Any:
    """The dtype of step counts."""
    wide = not is_fused and depend(default_dtype) is float64
    return float64 if wide else float32


def _get_capturable_supported_devices(supports_xla: bool = True) -> list[str]:
    """Device types on which steps can be captured."""
    return ["cpu", "cuda"]
