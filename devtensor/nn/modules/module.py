"""Module: the base of every layer and model."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, Self, TypeVar

import devtensor.methods  # noqa: F401 - layers use tensors' operators and methods
from devtensor.core.device import Device, resolve
from devtensor.core.dtype import DType, as_dtype
from devtensor.core.errors import ArgumentTypeError
from devtensor.core.hooks import RemovableHandle
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.functions.tensors import cuda_device
from devtensor.nn.modules.everywhere import (
    _global_backward_hooks,
    _global_backward_pre_hooks,
    _global_buffer_registration_hooks,
    _global_forward_hooks,
    _global_forward_hooks_always_called,
    _global_forward_hooks_with_kwargs,
    _global_forward_pre_hooks,
    _global_module_registration_hooks,
    _global_parameter_registration_hooks,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from devtensor.nn.modules.hooks import HOOK_TABLES, Hooked
from devtensor.nn.modules.saving import EXTRA_STATE as _EXTRA_STATE_KEY_SUFFIX
from devtensor.nn.modules.saving import IncompatibleKeys as _IncompatibleKeys
from devtensor.nn.modules.saving import Saving
from devtensor.nn.parameter import is_lazy, rebind
from devtensor.ops.create import full

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]
# By PyTorch's path: what holds for all modules, and names that scripts import from here.
__all__ += [
    "_EXTRA_STATE_KEY_SUFFIX",
    "RemovableHandle",
    "_IncompatibleKeys",
    "_addindent",
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
    "_global_buffer_registration_hooks",
    "_global_forward_hooks",
    "_global_forward_hooks_always_called",
    "_global_forward_hooks_with_kwargs",
    "_global_forward_pre_hooks",
    "_global_module_registration_hooks",
    "_global_parameter_registration_hooks",
]


class Module(Hooked, Saving):
    """Base of layers and models: it holds parameters, buffers and other modules, and computes in `forward`.

    Tensors wrapped as Parameter, and modules, that are assigned as attributes are found by `parameters()`,
    `state_dict()`, `to()` and all that walks over a model.

    Errors: AttributeError if something is assigned before `super().__init__()`.
    Example:
        class Net(Module):
            def __init__(self):
                super().__init__()
                self.layer = Linear(4, 2)

            def forward(self, x):
                return self.layer(x).relu()
    """

    training: bool
    dump_patches = False
    call_super_init = False
    T_destination = TypeVar("T_destination", bound=dict[str, Any])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init and (args or kwargs):
            given = (
                f"keyword argument '{next(iter(kwargs))}'"
                if kwargs
                else f"{len(args) + 1} positional arguments"
            )
            raise ArgumentTypeError(f"{type(self).__name__}.__init__() got {given}; Module takes none")
        object.__setattr__(self, "training", True)
        self._start()
        object.__setattr__(self, "_is_full_backward_hook", None)
        for table in HOOK_TABLES:
            object.__setattr__(self, table, OrderedDict())
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("_is_full_backward_hook", None)
        for table in HOOK_TABLES:
            self.__dict__.setdefault(table, OrderedDict())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def train(self, mode: bool = True) -> Self:
        """Make this module, and all below it, behave as in training or, with False, as in use."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Make this module, and all below it, behave as in use."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Train all parameters, or with False freeze them."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with False make them zeros."""
        for param in self.parameters():
            if param.grad is None:
                continue
            if set_to_none:
                param.grad = None
                continue
            if param.grad.grad_fn is None:
                param.grad.requires_grad_(False)
            else:
                param.grad.detach_()
            param.grad.zero_()

    def apply(self, fn: Callable[[Module], None]) -> Self:
        """Call `fn` on all modules below, then on this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace what parameters, their gradients and buffers hold; parameters stay the same objects."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for param in self._parameters.values():
            for tensor in () if param is None else (param, param.grad):
                if tensor is not None:
                    with no_grad():
                        rebind(tensor, fn(tensor))
        for name, buffer in self._buffers.items():
            if buffer is None:
                continue
            if is_lazy(buffer):
                rebind(buffer, fn(buffer))
            else:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move and convert all: `to(device)`, `to(dtype)`, `to(device, dtype)`, `to(tensor)`.

        The dtype applies to floating-point and complex tensors only; the others are just moved. A
        `memory_format` is for tensors of 4 and 5 dims. With `non_blocking` copies of pinned memory are only
        begun.

        Errors: ArgumentTypeError for a dtype that is neither floating point nor complex.
        """
        device, dtype, memory_format, non_blocking = _destination(args, kwargs)
        if dtype is not None and not dtype.differentiable:
            raise ArgumentTypeError(
                "[Module.to] nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={dtype}"
            )
        if dtype is not None and dtype.is_complex:
            warnings.warn(
                "Complex modules are a new feature: some modules may not work as expected with complex "
                "parameters or buffers",
                stacklevel=2,
            )

        def convert(tensor: Any) -> Tensor:
            wanted = dtype if tensor.dtype.differentiable else None
            if memory_format is not None and tensor.dim() in (4, 5):
                return tensor.to(device, wanted, non_blocking, memory_format=memory_format)
            return tensor.to(device, wanted, non_blocking)

        return self._apply(convert)

    def cuda(self, device: Any = None) -> Self:
        """Move all parameters and buffers to a CUDA device.

        Errors: ArgumentError for a device of another type.
        """
        return self.to(cuda_device("Module.cuda", device))

    def xpu(self, device: Any = None) -> Self:
        """Move all parameters and buffers to an XPU device."""
        return self.to("xpu" if device is None else device)

    def ipu(self, device: Any = None) -> Self:
        """Move all parameters and buffers to an IPU device."""
        return self.to("ipu" if device is None else device)

    def mtia(self, device: Any = None) -> Self:
        """Move all parameters and buffers to an MTIA device."""
        return self.to("mtia" if device is None else device)

    def cpu(self) -> Self:
        """Move all parameters and buffers to the CPU."""
        return self.to("cpu")

    def type(self, dst_type: Any) -> Self:
        """Convert all parameters and buffers to a dtype."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def _floats_to(self, name: str) -> Self:
        dtype = as_dtype(name)
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def float(self) -> Self:
        """Convert floating-point parameters and buffers to float32."""
        return self._floats_to("float32")

    def double(self) -> Self:
        """Convert floating-point parameters and buffers to float64."""
        return self._floats_to("float64")

    def half(self) -> Self:
        """Convert floating-point parameters and buffers to float16."""
        return self._floats_to("float16")

    def bfloat16(self) -> Self:
        """Convert floating-point parameters and buffers to bfloat16."""
        return self._floats_to("bfloat16")

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Move to a device without copying: all values are to be written anew."""
        place = None if device is None else resolve(device)
        return self._apply(
            lambda t: full(tuple(t.array.shape), 0, t.kind.dtype, place or t.kind.device), recurse
        )

    def share_memory(self) -> Self:
        """Move all parameters and buffers to memory that other processes can see."""
        return self._apply(lambda tensor: tensor.share_memory_())

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Call what `devtensor.compile` makes of this module's call, with its arguments."""
        from devtensor.compiler import compile

        self._compiled_call_impl = compile(self._call_impl, *args, **kwargs)

    def _replicate_for_data_parallel(self) -> Self:
        """A copy that has modules and buffers of its own to set, and no parameters."""
        replica: Any = self.__new__(type(self))
        replica.__dict__ = {k: v for k, v in self.__dict__.items() if k not in self._parameters}
        replica._parameters, replica._is_replica = {}, True
        replica._buffers, replica._modules = self._buffers.copy(), self._modules.copy()
        return replica

    def extra_repr(self) -> str:
        """What `repr` says of the module's own settings."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        own = extra.split("\n") if extra else []
        below = [f"({name}): {indented(repr(module))}" for name, module in self._modules.items()]
        return framed(self._get_name(), own, below)


def framed(name: str, own: list[str], below: list[str]) -> str:
    """A module's text: its own settings on one line if they are all, else everything on lines of its own."""
    if not below and len(own) <= 1:
        return f"{name}({''.join(own)})"
    lines = "".join(f"\n  {line}" for line in (*own, *below))
    return f"{name}({lines}\n)"


def _addindent(s_: str, numSpaces: int) -> str:
    """All lines but the first, and those without text, moved right."""
    first, *others = s_.split("\n")
    return "\n".join([first, *(" " * numSpaces + line if line.strip() else "" for line in others)])


def indented(text: str) -> str:
    """All lines but the first moved right by two."""
    return _addindent(text, 2)


class Destination(NamedTuple):
    """What `to` was asked for."""

    device: Device | None
    dtype: DType | None
    memory_format: Any
    non_blocking: bool


def _destination(args: tuple, kwargs: dict[str, Any]) -> Destination:
    """Read the forms of `to`.

    Errors: ArgumentTypeError for what is none of them.
    """
    unknown = kwargs.keys() - {"device", "dtype", "tensor", "non_blocking", "memory_format"}
    if unknown:
        raise ArgumentTypeError(f"[Module.to] got an unexpected keyword argument '{min(unknown)}'")
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    like, non_blocking = kwargs.get("tensor"), kwargs.get("non_blocking", False)
    for value in args:
        if isinstance(value, Tensor):
            like = value
        elif isinstance(value, DType):
            dtype = value
        elif isinstance(value, (str, Device)) or type(value) is int:
            device = value
        elif isinstance(value, bool):
            non_blocking = value
        elif value is not None:
            raise ArgumentTypeError(
                f"[Module.to] got {value!r}; it takes a device, a floating-point dtype, both, or a tensor to "
                "be like"
            )
    if like is not None:
        device, dtype = like.kind.device, like.kind.dtype
    return Destination(
        None if device is None else resolve(device),
        None if dtype is None else as_dtype(dtype),
        kwargs.get("memory_format"),
        bool(non_blocking),
    )
