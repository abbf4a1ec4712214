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
        return list(self._modules)[position(index, len(self))]

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


def _as_parameter(value: Any) -> Any:
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _described(value: Any, kind: Callable[[Tensor], Any]) -> str:
    if not isinstance(value, Tensor):
        return f"Object of type: {type(value).__name__}"
    what = "Parameter" if isinstance(value, Parameter) else "Tensor"
    place = "" if value.device.type == "cpu" else f" ({value.device})"
    shape = "x".join(map(str, value.shape))
    return f"{what} containing: [{kind(value)} of size {shape}{place}]"


def _listed(members: Iterable[tuple[Any, Any]], kind: Callable[[Tensor], Any]) -> str:
    return "\n".join(f"  ({name}): {_described(value, kind)}" for name, value in members)


class ParameterList(Module):
    """A list of parameters, and of whatever else, that is a module; tensors become parameters."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)([self[place] for place in range(len(self))[index]])
        return getattr(self, str(position(index, len(self))))

    def __setitem__(self, index: Any, value: Any) -> None:
        setattr(self, str(position(index, len(self))), _as_parameter(value))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([self[place] for place in range(len(self))])

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def __iadd__(self, parameters: Iterable[Any]) -> Self:
        return self.extend(parameters)

    def append(self, value: Any) -> Self:
        """Add a value at the end."""
        self._size += 1
        self[-1] = value
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add values at the end.

        Errors: ArgumentTypeError for a tensor, or what cannot be iterated over.
        """
        if not isinstance(values, Iterable) or isinstance(values, Tensor):
            raise ArgumentTypeError(
                f"[ParameterList.extend] should be called with an iterable, but got {type(values).__name__}"
            )
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return _listed(enumerate(self), attrgetter("dtype"))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ParameterList should not be called.")


class ParameterDict(Module):
    """Parameters, and whatever else, by name; tensors become parameters."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, _named_by(key))

    def __setitem__(self, key: str, value: Any) -> None:
        self._keys[_named_by(key)] = None
        setattr(self, key, _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __or__(self, other: ParameterDict) -> ParameterDict:
        made = self.copy()
        made.update(other)
        return made

    def __ror__(self, other: ParameterDict) -> ParameterDict:
        made = other.copy()
        made.update(self)
        return made

    def __ior__(self, other: ParameterDict) -> Self:
        self.update(other)
        return self

    def copy(self) -> ParameterDict:
        """Another dict of the same values."""
        return ParameterDict(list(self.items()))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of a name, which becomes `default` if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Take all values out."""
        for key in list(self._keys):
            del self[key]

    def pop(self, key: str) -> Any:
        """Take one value out."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last name and its value out.

        Errors: KeyError if there is none.
        """
        key = next(reversed(self._keys), None)
        if key is None:
            raise KeyError("[ParameterDict.popitem] the dict is empty")
        return key, self.pop(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a name, or `default`."""
        return self[key] if key in self else default  # noqa: SIM401 - it is what `get` means

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """Another dict in which these names have one value."""
        return ParameterDict([(key, default) for key in keys])

    def keys(self) -> Any:
        """The names."""
        return self._keys.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and values."""
        return ((key, self[key]) for key in self._keys)

    def values(self) -> Iterable[Any]:
        """The values."""
        return (self[key] for key in self._keys)

    def update(self, parameters: Any) -> None:
        """Add values from a mapping, a plain one in the order of its sorted names, or from pairs.

        Errors: ArgumentTypeError for anything else; ArgumentError for what is no pair.
        """
        if not isinstance(parameters, Iterable):
            raise ArgumentTypeError(
                "[ParameterDict.update] should be called with an iterable of key/value pairs, but got "
                f"{type(parameters).__name__}"
            )
        for key, value in _pairs(parameters):
            self[key] = value

    def extra_repr(self) -> str:
        return _listed(self.items(), Tensor.type)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ParameterDict should not be called.")


def _named_by(key: Any) -> str:
    if not isinstance(key, str):
        raise ArgumentTypeError(f"[ParameterDict] key {key!r} is a {type(key).__name__}; names are strings")
    return key


def _pairs(entries: Any) -> Iterator[tuple[Any, Any]]:
    """Names and values of a mapping or of pairs."""
    if isinstance(entries, (OrderedDict, ParameterDict)):
        yield from entries.items()
    elif isinstance(entries, Mapping):
        yield from sorted(entries.items(), key=operator.itemgetter(0))
    else:
        for place, pair in enumerate(entries):
            if not isinstance(pair, Iterable):
                raise ArgumentTypeError(
                    f"[ParameterDict.update] element {place} must be an iterable of two, not a "
                    f"{type(pair).__name__}"
                )
            pair = list(pair)
            if len(pair) != 2:
                raise ArgumentError(
                    f"[ParameterDict.update] element {place} has length {len(pair)}; 2 is required"
                )
            yield pair[0], pair[1]
