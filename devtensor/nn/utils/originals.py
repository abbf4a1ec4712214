"""The parametrizations of one tensor, and what they start from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.nn.modules.container import ModuleList
from devtensor.nn.modules.module import Module
from devtensor.nn.parameter import Parameter, rebind


def adopt(module: Module, name: str, value: Any) -> None:
    """Make a tensor a parameter of the module if it is one, else a buffer."""
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def check_kind(name: str, found: Any, wanted: Any, shape: bool = True) -> None:
    """Check that what a parametrization gave fits what it stands for."""
    if not isinstance(found, Tensor):
        raise ArgumentError(
            f"[parametrize] {name} must return a tensor. Got {type(found).__name__}; return one Tensor"
        )
    for fact in ("dtype", "shape") if shape else ("dtype", "device"):
        given, needed = getattr(found, fact), getattr(wanted, fact)
        if given != needed:
            raise ArgumentError(
                f"[parametrize] {name} may not change the {fact} of the tensor, unless the `unsafe` flag is "
                f"enabled: it gave {given}, the tensor has {needed}"
            )


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, in the order they are applied, and the tensors they start from.

    Those are called `original`, or `original0`, `original1`, ... if the first parametrization's
    `right_inverse` gives a sequence.

    Errors: ArgumentError if what the parametrizations give does not fit the tensor (unless `unsafe`).
    """

    original: Tensor
    unsafe: bool
    is_tensor: bool
    ntensors: int

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ArgumentError("[ParametrizationList] requires one or more modules; it got none")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        with no_grad():
            start = self._start_of(original)
        self.is_tensor = isinstance(start, Tensor)
        self.ntensors = 1 if self.is_tensor else len(start)
        if self.is_tensor:
            check_kind("right_inverse", start, original, shape=False)
            with no_grad():
                rebind(original, start)
            adopt(self, "original", original)
        else:
            self._adopt_several(start, original)
        if not unsafe:
            result = self()
            check_kind("A parametrization", result, _Wanted(shape, dtype))

    def _start_of(self, value: Any) -> Any:
        """What the first parametrization has to be given for `value`; one without inverse counts as none."""
        for module in reversed(list(self)):
            inverse = getattr(module, "right_inverse", None)
            if inverse is None:
                continue
            try:
                value = inverse(value)
            except NotImplementedError:
                continue
        if not isinstance(value, (Tensor, Sequence)):
            raise ArgumentError(
                "[parametrize] 'right_inverse' must return a Tensor or a Sequence of tensors. "
                f"Got {type(value).__name__}"
            )
        return value

    def _adopt_several(self, parts: Sequence[Any], original: Tensor) -> None:
        for place, part in enumerate(parts):
            if not isinstance(part, Tensor):
                raise ArgumentError(
                    "[parametrize] 'right_inverse' must return a Tensor or a Sequence of tensors (list, "
                    f"tuple...). Got element {place} of the sequence with type {type(part).__name__}"
                )
            if isinstance(original, Parameter):
                part = Parameter(part, original.requires_grad)
            part.requires_grad_(original.requires_grad)
            adopt(self, f"original{place}", part)

    def _originals(self) -> list[Any]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{place}") for place in range(self.ntensors)]

    def right_inverse(self, value: Any) -> None:
        """Set the originals so that the parametrizations give `value`.

        Errors: AutogradError if one has no `right_inverse`, ArgumentError if what it gives does not fit.
        """
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise AutogradError(
                        f"[parametrize] parametrization {type(module).__name__} does not implement "
                        "right_inverse; define it to be able to assign to the tensor"
                    )
                value = module.right_inverse(value)
            parts = [value] if self.is_tensor else value
            self._check_parts(parts)
            for original, part in zip(self._originals(), parts, strict=True):
                rebind(original, part)

    def _check_parts(self, parts: Any) -> None:
        if not isinstance(parts, Sequence) or isinstance(parts, Tensor):
            raise ArgumentError(
                f"[parametrize] 'right_inverse' must return a sequence of tensors. Got {type(parts).__name__}"
            )
        if len(parts) != self.ntensors:
            raise ArgumentError(
                "[parametrize] 'right_inverse' must return a sequence of tensors of length "
                f"{self.ntensors}. Got a sequence of length {len(parts)}"
            )
        for original, part in zip(self._originals(), parts, strict=True):
            if not isinstance(part, Tensor):
                raise ArgumentError(
                    f"[parametrize] `right_inverse` should return a tensor. Got {type(part).__name__}"
                )
            if part.dtype is not original.dtype:
                raise ArgumentError(
                    f"[parametrize] The tensor returned by `right_inverse` has dtype {part.dtype} while "
                    f"`original` has dtype {original.dtype}"
                )

    def forward(self) -> Any:
        """The parametrized tensor."""
        first, *others = self._modules.values()
        value = first(*self._originals())  # type: ignore[misc]
        for module in others:
            value = module(value)  # type: ignore[misc]
        return value


class _Wanted:
    """The shape and dtype that a tensor had before its memory was bound anew."""

    def __init__(self, shape: Any, dtype: Any) -> None:
        self.shape = shape
        self.dtype = dtype
