"""Modules that hold other modules, or parameters, in order or by name."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any, Self

from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.tensor import Tensor
from devtensor.nn.modules.module import Module, framed, indented
from devtensor.nn.parameter import Parameter


def position(index: Any, length: int) -> int:
    """A place counted from the front.

    Errors: IndexError if there is none.
    """
    place = operator.index(index)
    if not -length <= place < length:
        raise IndexError(f"index {place} is out of range")
    return place % length


class Numbered(Module):
    """Base of modules whose members are numbered from 0."""

    def _members(self) -> dict[str, Any]:
        return self._modules

    def _renumber(self, members: Iterable[Any]) -> None:
        members = list(members)
        held = self._members()
        for name in list(held):
            del held[name]
        for place, member in enumerate(members):
            setattr(self, str(place), member)

    def _add(self, name: str, member: Any) -> None:
        self.add_module(name, member)

    def __len__(self) -> int:
        return len(self._members())

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._members().values()))

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def _named(self, index: Any) -> str:
        return list(self._members())[position(index, len(self))]

    def __setitem__(self, index: Any, value: Any) -> None:
        setattr(self, self._named(index), value)

    def __delitem__(self, index: Any) -> None:
        gone = set(list(self._members())[index]) if isinstance(index, slice) else {self._named(index)}
        self._renumber([member for name, member in self._members().items() if name not in gone])

    def insert(self, index: int, module: Any) -> Any:
        """Put a member in front of place `index`."""
        members = list(self)
        members.insert(index, module)
        self._renumber(members)
        return self

    def append(self, module: Any) -> Self:
        """Add a member at the end."""
        self._add(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Any]) -> Self:
        """Add members at the end."""
        if not isinstance(modules, Iterable):
            raise ArgumentTypeError(
                f"[{self._get_name()}.extend] should be called with an iterable, but got "
                f"{type(modules).__name__}"
            )
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, index: int | slice = -1) -> Any:
        """Take a member out."""
        taken = self[index]  # type: ignore[index]
        del self[index]
        return taken


class Sequential(Numbered):
    """Modules called one after the other, each on what the one before gave.

    Example: `Sequential(Linear(4, 8), ReLU(), Linear(8, 2))`, or with names:
    `Sequential(OrderedDict(a=Linear(4, 8)))`.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], OrderedDict) else enumerate(args)
        for name, module in named:
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return self._modules[self._named(index)]

    def __delitem__(self, index: Any) -> None:
        for name in list(self._modules)[index] if isinstance(index, slice) else [self._named(index)]:
            delattr(self, name)
        if all(name.isdigit() for name in self._modules):
            self._renumber(list(self))

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(
                f"add operator supports only objects of Sequential class, but {type(other)} is given."
            )
        return Sequential(*self, *other)

    def __iadd__(self, other: Sequential) -> Self:
        if not isinstance(other, Sequential):
            raise ValueError(
                f"add operator supports only objects of Sequential class, but {type(other)} is given."
            )
        return self.extend(other)

    def __mul__(self, times: int) -> Sequential:
        return Sequential(*(list(self) * times))

    __rmul__ = __mul__


class ModuleList(Numbered):
    """A list of modules that is itself a module."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self._modules.values())[index])
        return self._modules[self._named(index)]

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)

    def __repr__(self) -> str:
        lines = []
        for text, run in groupby(enumerate(map(repr, self)), key=lambda item: item[1]):
            places = [place for place, _ in run]
            one = f"({places[0]}): "
            many = f"({places[0]}-{places[-1]}): {len(places)} x "
            lines.append(indented((one if len(places) == 1 else many) + text))
        return framed(self._get_name(), [], lines)


class Named(Module):
    """Base of modules whose members are found by name."""

    def _members(self) -> dict[str, Any]:
        return self._modules

    def __getitem__(self, key: str) -> Any:
        return self._members()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.add_module(key, value)

    def __delitem__(self, key: str) -> None:
        del self._members()[key]

    def __len__(self) -> int:
        return len(self._members())

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._members()))

    def __contains__(self, key: object) -> bool:
        return key in self._members()

    def clear(self) -> None:
        """Take all members out."""
        self._members().clear()

    def pop(self, key: str) -> Any:
        """Take one member out."""
        return self._members().pop(key)

    def keys(self) -> Any:
        """The members' names."""
        return self._members().keys()

    def items(self) -> Any:
        """Names and members."""
        return self._members().items()

    def values(self) -> Any:
        """The members."""
        return self._members().values()

    def update(self, entries: Any) -> None:
        """Add members from a mapping or from pairs.

        Errors: ArgumentTypeError for anything else.
        """
        if not isinstance(entries, (Iterable, Named)):
            raise ArgumentTypeError(
                f"[{self._get_name()}.update] should be called with an iterable of key/value pairs, but got "
                f"{type(entries).__name__}"
            )
        for key, value in entries.items() if isinstance(entries, (Mapping, Named)) else entries:
            self[key] = value


class ModuleDict(Named):
    """Modules by name."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)


def _as_parameter(value: Any) -> Any:
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _described(value: Any, kind: Callable[[Tensor], Any]) -> str:
    if not isinstance(value, Tensor):
        return f"Object of type: {type(value).__name__}"
    what = "Parameter" if isinstance(value, Parameter) else "Tensor"
    place = "" if value.device.type == "cpu" else f" ({value.device})"
    shape = "x".join(map(str, value.shape))
    return f"{what} containing: [{kind(value)} of size {shape}{place}]"


def _listed(members: dict[str, Any], kind: Callable[[Tensor], Any]) -> list[str]:
    return [f"  ({name}): {_described(value, kind)}" for name, value in members.items()]


class ParameterList(Numbered):
    """A list of parameters that is a module; tensors become parameters."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        if values is not None:
            self.extend(values)

    def _members(self) -> dict[str, Any]:
        return self._parameters

    def _add(self, name: str, member: Any) -> None:
        setattr(self, name, member)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, _as_parameter(value) if name.isdigit() else value)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return self._parameters[self._named(index)]

    def __iadd__(self, other: Iterable[Any]) -> Self:
        return self.extend(other)

    def __repr__(self) -> str:
        return framed(self._get_name(), _listed(self._parameters, attrgetter("dtype")), [])


class ParameterDict(Named):
    """Parameters by name; tensors become parameters."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        if parameters is not None:
            self.update(parameters)

    def _members(self) -> dict[str, Any]:
        return self._parameters

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise ArgumentError(f"[ParameterDict] key {key!r} is a {type(key).__name__}; names are strings")
        self.register_parameter(key, _as_parameter(value))

    def __repr__(self) -> str:
        return framed(self._get_name(), _listed(self._parameters, Tensor.type), [])
