"""Module: the base of every layer and model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Self

import devtensor.methods  # noqa: F401 - layers use tensors' operators and methods
from devtensor.core.device import Device, resolve
from devtensor.core.dtype import DType, as_dtype
from devtensor.core.errors import ArgumentTypeError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.nn.modules.hooks import HOOK_TABLES, Hooked
from devtensor.nn.modules.saving import Saving
from devtensor.nn.parameter import rebind
from devtensor.ops.create import full


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
        for table in HOOK_TABLES:
            object.__setattr__(self, table, OrderedDict())
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
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
            else:
                with no_grad():
                    param.grad = param.grad * 0

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
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move and convert all: `to(device)`, `to(dtype)`, `to(device, dtype)`, `to(tensor)`.

        The dtype applies to floating-point and complex tensors only; the others are just moved.

        Errors: ArgumentTypeError for a dtype that is neither floating point nor complex.
        """
        device, dtype = _destination(args, kwargs)
        if dtype is not None and not dtype.differentiable:
            raise ArgumentTypeError(
                "[Module.to] nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={dtype}"
            )

        def convert(tensor: Any) -> Tensor:
            return tensor.to(device, dtype if tensor.dtype.differentiable else None)

        return self._apply(convert)

    def cuda(self, device: Any = None) -> Self:
        """Move all parameters and buffers to a CUDA device."""
        return self.to("cuda" if device is None else device)

    def cpu(self) -> Self:
        """Move all parameters and buffers to the CPU."""
        return self.to("cpu")

    def type(self, dst_type: Any) -> Self:
        """Convert all parameters and buffers to a dtype."""
        return self._apply(lambda tensor: tensor.to(as_dtype(dst_type)))

    def float(self) -> Self:
        """Convert floating-point parameters and buffers to float32."""
        return self.to(as_dtype("float32"))

    def double(self) -> Self:
        """Convert floating-point parameters and buffers to float64."""
        return self.to(as_dtype("float64"))

    def half(self) -> Self:
        """Convert floating-point parameters and buffers to float16."""
        return self.to(as_dtype("float16"))

    def bfloat16(self) -> Self:
        """Convert floating-point parameters and buffers to bfloat16."""
        return self.to(as_dtype("bfloat16"))

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Move to a device without copying: all values are to be written anew."""
        place = resolve(device)
        return self._apply(lambda t: full(tuple(t.array.shape), 0, t.kind.dtype, place), recurse)

    def share_memory(self) -> Self:
        """Move all parameters and buffers to memory that other processes can see."""
        return self._apply(lambda tensor: tensor.share_memory_())

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Checks what `devtensor.compile` takes; the module runs eagerly as it is."""
        from devtensor.compiler import compile

        compile(self, *args, **kwargs)

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


def indented(text: str) -> str:
    """All lines but the first moved right by two."""
    return text.replace("\n", "\n  ")


def _destination(args: tuple, kwargs: dict[str, Any]) -> tuple[Device | None, DType | None]:
    """Read the forms of `to`."""
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    like = kwargs.get("tensor")
    for value in args:
        if isinstance(value, Tensor):
            like = value
        elif isinstance(value, DType):
            dtype = value
        elif isinstance(value, (str, Device)) or type(value) is int:
            device = value
        elif value is not None and not isinstance(value, bool):
            raise ArgumentTypeError(
                f"[Module.to] got {value!r}; it takes a device, a floating-point dtype, both, or a tensor to "
                "be like"
            )
    if like is not None:
        device, dtype = like.kind.device, like.kind.dtype
    return None if device is None else resolve(device), None if dtype is None else as_dtype(dtype)
