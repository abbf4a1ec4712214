"""Parameters and buffers that are computed from others whenever they are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.nn.modules.container import ModuleDict
from devtensor.nn.modules.members import Membership
from devtensor.nn.modules.module import Module
from devtensor.nn.parameter import Parameter, rebind
from devtensor.nn.utils.originals import ParametrizationList, adopt, check_kind

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]


class _Cache:
    """The values computed so far, by module and name, while `depth` contexts of `cached` are open."""

    def __init__(self) -> None:
        self.depth = 0
        self.values: dict[tuple[int, str], Tensor] = {}


_cache = _Cache()


@contextmanager
def cached() -> Iterator[None]:
    """Within it every parametrized tensor is computed once, when it is first read.

    Example:
        with parametrize.cached():
            for x in steps:
                state = cell(x, state)
    """
    _cache.depth += 1
    try:
        yield
    finally:
        _cache.depth -= 1
        if not _cache.depth:
            _cache.values.clear()


def _refuse_pickling(self: Any) -> Any:
    raise AutogradError(
        "[parametrize] Serialization of parametrized modules is only supported through state_dict(); save "
        "that, and load it into a module with the same parametrizations"
    )


def _copied(self: Any, memo: dict[int, Any]) -> Any:
    """A deep copy, for which a module is usually pickled."""
    if id(self) not in memo:
        made = memo[id(self)] = self.__new__(type(self))
        made.__setstate__(deepcopy(Membership.__getstate__(self), memo))
    return memo[id(self)]


def _inject_class(module: Module) -> None:
    """Give the module a class of its own, on which properties can stand."""
    cls = type(module)
    facts: dict[str, Any] = {"__getstate__": _refuse_pickling, "__module__": __name__}
    if not hasattr(cls, "__deepcopy__"):
        facts["__deepcopy__"] = _copied
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), facts)


def _inject_property(module: Module, tensor_name: str) -> None:
    """Make reading the name compute the tensor, and assigning to it set the originals."""

    def read(self: Any) -> Any:
        parametrization = self.parametrizations[tensor_name]
        if not _cache.depth:
            return parametrization()
        key = id(self), tensor_name
        if key not in _cache.values:
            _cache.values[key] = parametrization()
        return _cache.values[key]

    def write(self: Any, value: Any) -> None:
        self.parametrizations[tensor_name].right_inverse(value)

    setattr(type(module), tensor_name, property(read, write))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Compute a parameter or buffer by `parametrization` from what it was, each time it is read.

    Several on one tensor are applied in the order they were registered. Where `parametrization` has a method
    `right_inverse`, what that gives for the tensor is what it is computed from. `unsafe` allows another shape
    or dtype, and checks nothing.

    Errors: ArgumentError if there is no such tensor, or what the parametrization gives does not fit it.
    Example:
        class Symmetric(nn.Module):
            def forward(self, x):
                return x.triu() + x.triu(1).T

        register_parametrization(nn.Linear(5, 5), "weight", Symmetric())
    """
    holder: Any = module
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        known = holder.parametrizations[tensor_name]
        if not unsafe:
            _check_addition(getattr(module, tensor_name), parametrization)
        known.append(parametrization)
        known.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        members = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _inject_class(module)
            holder.parametrizations = ModuleDict()
        _inject_property(module, tensor_name)
        holder.parametrizations[tensor_name] = members
    else:
        raise ArgumentError(
            f"[register_parametrization] Module '{module}' does not have a parameter, a buffer, or a "
            f"parametrized element with name '{tensor_name}'"
        )
    return module


def _check_addition(value: Any, parametrization: Any) -> None:
    """Check that a further parametrization, and its inverse, keep the tensor's dtype and shape."""
    result = parametrization(value)
    check_kind("A parametrization", result, value)
    if hasattr(parametrization, "right_inverse"):
        try:
            start = parametrization.right_inverse(result)
        except NotImplementedError:
            return
        check_kind("parametrization.right_inverse", start, value)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the tensor of that name, or without a name any tensor of the module, is parametrized."""
    held = getattr(module, "parametrizations", None)
    if not isinstance(held, ModuleDict):
        return False
    return len(held) > 0 if tensor_name is None else tensor_name in held


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make a parametrized tensor an ordinary one again: what it is now, or else its original.

    Errors: ArgumentError if it is not parametrized, or has several originals and is to become one of them.
    """
    holder: Any = module
    if not is_parametrized(module, tensor_name):
        raise ArgumentError(
            f"[remove_parametrizations] Module {module} does not have a parametrization on {tensor_name}"
        )
    restored = _restored(module, tensor_name, leave_parametrized)
    delattr(type(module), tensor_name)
    del holder.parametrizations[tensor_name]
    adopt(module, tensor_name, restored)
    if not is_parametrized(module):
        del holder.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def _restored(module: Any, tensor_name: str, leave_parametrized: bool) -> Any:
    """The tensor that takes the place of a parametrized one: the same object as before, if there is one."""
    parametrizations = module.parametrizations[tensor_name]
    if parametrizations.is_tensor:
        original = parametrizations.original
        if leave_parametrized:
            with no_grad():
                rebind(original, getattr(module, tensor_name))
        return original
    if not leave_parametrized:
        raise ArgumentError(
            "[remove_parametrizations] Cannot leave unparametrized (`leave_parametrized=False`) a tensor "
            "that is parametrized in terms of a sequence of tensors"
        )
    value = getattr(module, tensor_name)
    return Parameter(value) if value.requires_grad else value


def type_before_parametrizations(module: Module) -> type:
    """The module's class, as it was before its first parametrization."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give `to_module` the parametrizations, and originals, of one tensor or all of another module."""
    source: Any = from_module
    target: Any = to_module
    if not is_parametrized(from_module):
        return to_module
    for name in list(source.parametrizations) if tensor_name is None else [tensor_name]:
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name)))
        for parametrization in source.parametrizations[name]:
            register_parametrization(to_module, name, parametrization)
        given = source.parametrizations[name]
        kept = ["original"] if given.is_tensor else [f"original{i}" for i in range(given.ntensors)]
        for original in kept:
            setattr(target.parametrizations[name], original, getattr(given, original))
    return to_module
