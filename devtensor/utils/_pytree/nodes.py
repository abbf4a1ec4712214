"""Kinds of nodes: how containers are taken apart and put together, and the keys that lead to children."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Size


class Container(NamedTuple):
    """How a type is taken apart into children and a context, and put together again."""

    flatten: Callable[[Any], tuple[list[Any], Any]]
    unflatten: Callable[[Iterable[Any], Any], Any]
    keys: Callable[[Any], list[Any]] | None = None


class SequenceKey(NamedTuple):
    """A place in a sequence."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, sequence: Any) -> Any:
        """What stands there."""
        return sequence[self.idx]


class MappingKey(NamedTuple):
    """A key of a mapping."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, mapping: Any) -> Any:
        """What it leads to."""
        return mapping[self.key]


class GetAttrKey(NamedTuple):
    """An attribute's name."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, obj: Any) -> Any:
        """The attribute."""
        return getattr(obj, self.name)


def _places(sequence: Any) -> list[Any]:
    return [SequenceKey(index) for index in range(len(sequence))]


def _names(mapping: Any) -> list[Any]:
    return [MappingKey(key) for key in mapping]


def _sequence(kind: type) -> Container:
    return Container(lambda value: (list(value), None), lambda items, _: kind(items), _places)


def _mapping(kind: type) -> Container:
    return Container(
        lambda value: (list(value.values()), list(value)),
        lambda items, keys: kind(zip(keys, items, strict=True)),
        _names,
    )


NAMED_TUPLE = Container(
    lambda value: (list(value), type(value)),
    lambda items, kind: kind(*items),
    lambda value: [GetAttrKey(name) for name in value._fields],
)

SUPPORTED_NODES: dict[Any, Container] = {
    tuple: _sequence(tuple),
    list: _sequence(list),
    Size: Container(lambda value: (list(value), None), lambda items, _: tuple(items), _places),
    dict: _mapping(dict),
    OrderedDict: _mapping(OrderedDict),
    defaultdict: Container(
        lambda value: (list(value.values()), [value.default_factory, list(value)]),
        lambda items, held: defaultdict(held[0], zip(held[1], items, strict=True)),
        _names,
    ),
    deque: Container(
        lambda value: (list(value), value.maxlen), lambda items, size: deque(items, maxlen=size), _places
    ),
}


def register_pytree_node(
    cls: type,
    flatten_fn: Callable[[Any], tuple[list[Any], Any]],
    unflatten_fn: Callable[[Iterable[Any], Any], Any],
    *,
    serialized_type_name: str | None = None,
    to_dumpable_context: Callable[[Any], Any] | None = None,
    from_dumpable_context: Callable[[Any], Any] | None = None,
    flatten_with_keys_fn: Callable[[Any], tuple[list[Any], Any]] | None = None,
) -> None:
    """Make a class a node: `flatten_fn` gives children and context, `unflatten_fn` takes them.

    Errors: ArgumentError if it is one already.
    """
    if cls in SUPPORTED_NODES:
        raise ArgumentError(f"[register_pytree_node] {cls} is already registered as pytree node.")
    keys = None
    if flatten_with_keys_fn is not None:
        with_keys = flatten_with_keys_fn
        keys = lambda value: [key for key, _ in with_keys(value)[0]]  # noqa: E731
    SUPPORTED_NODES[cls] = Container(flatten_fn, unflatten_fn, keys)


def is_namedtuple_class(cls: Any) -> bool:
    """Whether a class is a named tuple's."""
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def is_namedtuple_instance(obj: Any) -> bool:
    """Whether an object is a named tuple."""
    return is_namedtuple_class(type(obj))


def is_namedtuple(obj: Any) -> bool:
    """Whether an object is a named tuple, or the class of one."""
    return is_namedtuple_class(obj if isinstance(obj, type) else type(obj))


def container_of(value: Any) -> tuple[Any, Container | None]:
    """The type by which a value is a node, and how it is taken apart; None for a leaf."""
    kind = type(value)
    found = SUPPORTED_NODES.get(kind)
    if found is None and is_namedtuple_class(kind):
        return kind, NAMED_TUPLE
    return kind, found
