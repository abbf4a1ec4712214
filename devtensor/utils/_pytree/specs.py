"""The shape of a nest: what is needed to put its leaves back."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.utils._pytree.nodes import (
    NAMED_TUPLE,
    SUPPORTED_NODES,
    container_of,
    is_namedtuple_class,
)

__all__ = ["LeafSpec", "TreeSpec"]

# Nests of these fit each other, if their keys do.
DICTS = (dict, OrderedDict, defaultdict)


class TreeSpec:
    """The shape of a nest: its type, its context, and the shapes of its children."""

    def __init__(self, type: Any, context: Any, children_specs: list[TreeSpec]) -> None:
        self.type = type
        self.context = context
        self.children_specs = children_specs
        self.num_children = len(children_specs)
        self.num_leaves = sum(child.num_leaves for child in children_specs)
        self.num_nodes = 1 + sum(child.num_nodes for child in children_specs)

    def is_leaf(self) -> bool:
        """Whether it is a leaf."""
        return self.num_nodes == 1 and self.num_leaves == 1

    def children(self) -> list[TreeSpec]:
        """The shapes of the children."""
        return list(self.children_specs)

    def child(self, index: int) -> TreeSpec:
        """The shape of one child."""
        return self.children_specs[index]

    def entries(self) -> Any:
        """The keys of a mapping, the places of a sequence."""
        return self.context if isinstance(self.context, list) else list(range(self.num_children))

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The nest with these leaves.

        Errors: ArgumentError if they are too few or too many.
        """
        leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            raise ArgumentError(
                f"[tree_unflatten] `leaves` has length {len(leaves)} but the spec refers to a pytree that "
                f"holds {self.num_leaves} items ({self})."
            )
        return self._built(iter(leaves))

    def _built(self, leaves: Iterator[Any]) -> Any:
        children = [child._built(leaves) for child in self.children_specs]
        container = SUPPORTED_NODES.get(self.type, NAMED_TUPLE)
        return container.unflatten(children, self.context)

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """What stands in `tree` where this shape has leaves.

        Errors: ArgumentError if the upper part of `tree` is of another shape.
        """
        kind, container = container_of(tree)
        alike = kind is self.type or (kind in DICTS and self.type in DICTS)
        if not alike or container is None:
            raise ArgumentError(f"[tree_map] Node type mismatch; expected {self.type}, but got {kind}.")
        children, context = container.flatten(tree)
        if len(children) != self.num_children:
            raise ArgumentError(
                f"[tree_map] Node arity mismatch; expected {self.num_children}, but got {len(children)}."
            )
        if isinstance(tree, dict):
            children = [tree[key] for key in self._keys(tree)]
        elif context != self.context:
            raise ArgumentError(
                f"[tree_map] Node context mismatch for {kind}; expected {self.context!r}, got {context!r}."
            )
        return [leaf for spec, child in zip(self.children_specs, children, strict=True)
                for leaf in spec.flatten_up_to(child)]  # fmt: skip

    def _keys(self, tree: dict) -> list[Any]:
        keys = self.context[1] if self.type is defaultdict else self.context
        if {*keys} != {*tree}:
            raise ArgumentError(f"[tree_map] Node keys mismatch; expected {keys!r}, got {[*tree]!r}.")
        return keys

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TreeSpec)
            and self.type is other.type
            and self.context == other.context
            and self.children_specs == other.children_specs
        )

    def __hash__(self) -> int:
        return hash((self.type, repr(self.context), tuple(map(hash, self.children_specs))))

    def __repr__(self, indent: int = 0) -> str:
        name = "namedtuple" if is_namedtuple_class(self.type) else self.type.__name__
        head = f"TreeSpec({name}, {self.context}, ["
        inner = indent + 2
        children = f",\n{' ' * inner}".join(child.__repr__(inner) for child in self.children_specs)
        return f"{head}{children}])"


class LeafSpec(TreeSpec):
    """The shape of a leaf."""

    def __init__(self) -> None:
        super().__init__(None, None, [])
        self.num_leaves = 1

    def _built(self, leaves: Iterator[Any]) -> Any:
        return next(leaves)

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """The tree itself."""
        return [tree]

    def __repr__(self, indent: int = 0) -> str:
        return "*"
