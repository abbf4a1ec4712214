"""Nested arguments and results as a flat list of leaves and the shape of the nest."""

from __future__ import annotations

from typing import Any


class Nest:
    """A list, tuple, named tuple or dict of nests; leaves are places in a flat list."""

    __slots__ = ("children", "keys", "kind")

    def __init__(self, kind: Any, keys: tuple, children: tuple) -> None:
        self.kind = kind
        self.keys = keys
        self.children = children

    def key(self) -> tuple:
        """The nest's shape, comparable and hashable."""
        return self.kind, self.keys, tuple(c.key() if isinstance(c, Nest) else None for c in self.children)


def flatten(value: Any, leaves: list) -> Any:
    """Append the leaves of `value` to `leaves`; gives what `unflatten` needs to put them back."""
    if isinstance(value, dict):
        return Nest(type(value), tuple(value), tuple(flatten(v, leaves) for v in value.values()))
    if isinstance(value, (list, tuple)):
        return Nest(type(value), (), tuple(flatten(v, leaves) for v in value))
    leaves.append(value)
    return len(leaves) - 1


def unflatten(shape: Any, leaves: list) -> Any:
    """The nested value whose leaves are `leaves`."""
    if not isinstance(shape, Nest):
        return leaves[shape]
    children = [unflatten(c, leaves) for c in shape.children]
    if issubclass(shape.kind, dict):
        return shape.kind(zip(shape.keys, children, strict=True))
    return shape.kind(*children) if hasattr(shape.kind, "_fields") else shape.kind(children)
