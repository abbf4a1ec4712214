"""Modules that hold parameters, in order or by name; PyTorch's path to them is `container`."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, Self

from devtensor.core.errors import ArgumentError, ArgumentTypeError, IndexingError
from devtensor.core.tensor import Tensor
from devtensor.nn.modules.module import Module
from devtensor.nn.parameter import Parameter


def position(members: Any, index: Any) -> int:
    """A place in a list of members, counted from the front.

    Errors: IndexingError if there is none.
    """
    place, length = operator.index(index), len(members)
    if not -length <= place < length:
        raise IndexingError(
            f"[{type(members).__name__}] index {place} is out of range; it has {length} members"
        )
    return place % length


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

    __module__ = "devtensor.nn.modules.container"

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)([self[place] for place in range(len(self))[index]])
        return getattr(self, str(position(self, index)))

    def __setitem__(self, index: Any, value: Any) -> None:
        setattr(self, str(position(self, index)), _as_parameter(value))

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

    __module__ = "devtensor.nn.modules.container"

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
        raise ArgumentTypeError(
            f"[ParameterDict] key {key!r} is of type {type(key).__name__}; names are strings"
        )
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
