"""Layers that learn the size of their input from the first one they see."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor, share
from devtensor.nn.modules import batchnorm, conv, instancenorm, linear
from devtensor.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy


class LazyModuleMixin:
    """Stands before a layer's class: parameters without a size get it at the first forward call.

    Afterwards the module is of the class `cls_to_become`.
    """

    cls_to_become: type | None = None
    _parameters: Any
    _buffers: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        lazy: Any = self
        self._load_hook = lazy._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = lazy.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        for name, value in self._persistent().items():  # type: ignore[attr-defined]
            if value is not None:
                destination[prefix + name] = value if keep_vars or is_lazy(value) else share(value)

    def _lazy_load_hook(self, state_dict: dict, prefix: str, *rest: Any) -> None:
        """Give parameters the sizes of what is loaded into them."""
        for name, value in {**self._parameters, **self._buffers}.items():
            given = state_dict.get(prefix + name)
            if value is not None and given is not None and is_lazy(value) and not is_lazy(given):
                value.materialize(tuple(given.array.shape))

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give all parameters their sizes and first values, from what forward was called with."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}; a lazy layer defines it"
        )

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer has no size yet."""
        return any(is_lazy(value) for value in (*self._parameters.values(), *self._buffers.values()))

    def _infer_parameters(self, module: Any, args: tuple, kwargs: dict | None = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise ShapeError(f"[{type(self).__name__}] module has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become


class LazyLinear(LazyModuleMixin, linear.Linear):
    """A Linear layer whose `in_features` is the last size of its first input."""

    cls_to_become = linear.Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, 0, False)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw new initial values, if the sizes are known."""
        if self.in_features and not self.has_uninitialized_params():
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        if not self.has_uninitialized_params():
            self.in_features = self.in_features or self.weight.shape[-1]
            return
        with no_grad():
            self.in_features = input.array.shape[-1]
            self.weight.materialize((self.out_features, self.in_features))  # type: ignore[attr-defined]
            if self.bias is not None:
                self.bias.materialize((self.out_features,))  # type: ignore[attr-defined]
            self.reset_parameters()


class _LazyConv(LazyModuleMixin):
    """What lazy convolutions share."""

    def _leave_open(self, out_channels: int, bias: bool, device: Any, dtype: Any) -> None:
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_channels = out_channels
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw new initial values, if the sizes are known."""
        if self.in_channels and not self.has_uninitialized_params():  # type: ignore[has-type]
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        me: Any = self
        shape = input.array.shape
        if len(shape) not in (me.ndim + 1, me.ndim + 2):
            raise ShapeError(
                f"[{type(self).__name__}] Expected {me.ndim + 1}D (unbatched) or {me.ndim + 2}D (batched) "
                f"input, but got input of size: {tuple(shape)}"
            )
        self.in_channels = self.in_channels or shape[-me.ndim - 1]
        if not self.has_uninitialized_params():
            return
        with no_grad():
            if self.in_channels % me.groups:
                raise ShapeError(f"[{type(self).__name__}] in_channels must be divisible by groups")
            ends = (
                (self.in_channels, self.out_channels // me.groups)
                if me.transposed
                else (self.out_channels, self.in_channels // me.groups)
            )
            self.weight.materialize((*ends, *me.kernel_size))
            if me.bias is not None:
                me.bias.materialize((self.out_channels,))
            self.reset_parameters()


def _layer(cls: type, mixin: type, init: Any, size: str) -> Any:
    """The lazy form of a layer's class, by the name that PyTorch gives it."""
    facts = {"__init__": init, "cls_to_become": cls, "__module__": __name__}
    made: Any = type(f"Lazy{cls.__name__}", (mixin, cls), facts)
    made.__doc__ = f"A {cls.__name__} layer whose {size}."
    return made


def _lazy_conv(cls: type) -> type:
    def __init__(
        self: Any,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        LazyModuleMixin.__init__(
            self, 0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode
        )
        self._leave_open(out_channels, bias, device, dtype)

    return _layer(cls, _LazyConv, __init__, "`in_channels` is that of its first input")


def _lazy_transposed(cls: type) -> type:
    def __init__(
        self: Any,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        LazyModuleMixin.__init__(
            self, 0, 0, kernel_size, stride, padding, output_padding, groups, False, dilation, padding_mode
        )
        self._leave_open(out_channels, bias, device, dtype)

    return _layer(cls, _LazyConv, __init__, "`in_channels` is that of its first input")


class _LazyNorm(LazyModuleMixin):
    """What lazy normalisations share."""

    def _leave_open(self, affine: bool, bias: bool, tracked: bool, device: Any, dtype: Any) -> None:
        me: Any = self
        me.affine, me.track_running_stats = affine, tracked
        place: Any = {"device": device, "dtype": dtype}
        if affine:
            me.weight = UninitializedParameter(**place)
            if bias:
                me.bias = UninitializedParameter(**place)
        if tracked:
            me.register_buffer("running_mean", UninitializedBuffer(**place))
            me.register_buffer("running_var", UninitializedBuffer(**place))
            me.register_buffer("num_batches_tracked", batchnorm.filled((), 0, device, "int64"))

    def reset_parameters(self) -> None:
        """Start anew, if the sizes are known."""
        me: Any = self
        if me.num_features and not self.has_uninitialized_params():
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: Tensor) -> None:
        me: Any = self
        me.num_features = me.num_features or input.array.shape[1]
        if not self.has_uninitialized_params():
            return
        for value in (me.weight, me.bias, me.running_mean, me.running_var):
            if value is not None:
                value.materialize((me.num_features,))
        self.reset_parameters()


def _lazy_norm(cls: type, usual: bool) -> type:
    def __init__(
        self: Any,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = usual,
        track_running_stats: bool = usual,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        LazyModuleMixin.__init__(self, 0, eps, momentum, False, False)
        self._leave_open(affine, bias, track_running_stats, device, dtype)

    return _layer(cls, _LazyNorm, __init__, "`num_features` is the channels of its first input")


LazyConv1d, LazyConv2d, LazyConv3d = map(_lazy_conv, (conv.Conv1d, conv.Conv2d, conv.Conv3d))
LazyConvTranspose1d, LazyConvTranspose2d, LazyConvTranspose3d = map(
    _lazy_transposed, (conv.ConvTranspose1d, conv.ConvTranspose2d, conv.ConvTranspose3d)
)
LazyBatchNorm1d, LazyBatchNorm2d, LazyBatchNorm3d = (
    _lazy_norm(cls, True) for cls in (batchnorm.BatchNorm1d, batchnorm.BatchNorm2d, batchnorm.BatchNorm3d)
)
LazyInstanceNorm1d, LazyInstanceNorm2d, LazyInstanceNorm3d = (
    _lazy_norm(cls, usual=True)
    for cls in (instancenorm.InstanceNorm1d, instancenorm.InstanceNorm2d, instancenorm.InstanceNorm3d)
)
