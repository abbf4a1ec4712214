"""Modules that hold other modules, or parameters, in order or by name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Self

from devtensor.core.errors import ArgumentTypeError
from devtensor.nn.modules.module import Module, framed, indented
from devtensor.nn.modules.parameter_container import ParameterDict, ParameterList, position

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


class Numbered(Module):
    """Base of modules whose members are numbered from 0."""

    def _renumber(self, members: Iterable[Any]) -> None:
        members = list(members)
        self._modules.clear()
        for place, member in enumerate(members):
            setattr(self, str(place), member)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._modules.values()))

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def _named(self, index: Any) -> str:
        return list(self._modules)[position(self, index)]

    def __setitem__(self, index: Any, value: Any) -> None:
        setattr(self, self._named(index), value)

    def __delitem__(self, index: Any) -> None:
        gone = set(list(self._modules)[index]) if isinstance(index, slice) else {self._named(index)}
        self._renumber([member for name, member in self._modules.items() if name not in gone])

    def insert(self, index: int, module: Any) -> Any:
        """Put a member in front of place `index`."""
        members = list(self)
        members.insert(index, module)
        self._renumber(members)
        return self

    def append(self, module: Any) -> Self:
        """Add a member at the end."""
        self.add_module(str(len(self)), module)
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

    def pop(self, key: int | slice) -> Any:
        """Take a member out."""
        taken = self[key]  # type: ignore[index]
        del self[key]
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


class ModuleDict(Module):
    """Modules by name."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.add_module(key, value)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._modules))

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take all members out."""
        self._modules.clear()

    def pop(self, key: str) -> Any:
        """Take one member out."""
        return self._modules.pop(key)

    def keys(self) -> Any:
        """The members' names."""
        return self._modules.keys()

    def items(self) -> Any:
        """Names and members."""
        return self._modules.items()

    def values(self) -> Any:
        """The members."""
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Add members from a mapping or from pairs.

        Errors: ArgumentTypeError for anything else.
        """
        if not isinstance(modules, Iterable):
            raise ArgumentTypeError(
                f"[{self._get_name()}.update] should be called with an iterable of key/value pairs, but got "
                f"{type(modules).__name__}"
            )
        for key, value in modules.items() if isinstance(modules, (Mapping, ModuleDict)) else modules:
            self[key] = value
