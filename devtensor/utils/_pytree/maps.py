"""Functions over nests: their leaves, their shapes, and maps from one to the next."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.utils._pytree.nodes import container_of
from devtensor.utils._pytree.specs import LeafSpec, TreeSpec

IsLeaf = Callable[[Any], bool] | None


def tree_is_leaf(tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether a value is a leaf."""
    return (is_leaf is not None and is_leaf(tree)) or container_of(tree)[1] is None


def tree_flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], TreeSpec]:
    """The leaves of a nest in order, and its shape."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, is_leaf, leaves)


def _flatten(tree: Any, is_leaf: IsLeaf, leaves: list[Any]) -> TreeSpec:
    kind, container = container_of(tree)
    if container is None or (is_leaf is not None and is_leaf(tree)):
        leaves.append(tree)
        return LeafSpec()
    children, context = container.flatten(tree)
    return TreeSpec(kind, context, [_flatten(child, is_leaf, leaves) for child in children])


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The nest of a shape with these leaves.

    Errors: ArgumentError if they are too few or too many, ArgumentTypeError for what is no shape.
    """
    if not isinstance(treespec, TreeSpec):
        raise ArgumentTypeError(
            f"[tree_unflatten] Expected `treespec` to be a TreeSpec but got item of type {type(treespec)}."
        )
    return treespec.unflatten(leaves)


def tree_iter(tree: Any, is_leaf: IsLeaf = None) -> Iterator[Any]:
    """The leaves of a nest, one after the other."""
    yield from tree_leaves(tree, is_leaf)


def tree_leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves of a nest."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Any, is_leaf: IsLeaf = None) -> TreeSpec:
    """The shape of a nest."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable, tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """A nest of the same shape with `func` of its leaves, and of those that stand there in other nests.

    Errors: ArgumentError if another nest is of another shape.
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    return spec.unflatten(map(func, leaves, *(spec.flatten_up_to(rest) for rest in rests)))


def tree_map_(func: Callable, tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """Call `func` on every leaf for what it does; gives the nest itself."""
    leaves, spec = tree_flatten(tree, is_leaf)
    deque(map(func, leaves, *(spec.flatten_up_to(rest) for rest in rests)), maxlen=0)
    return tree


def _chooser(chosen: Any) -> Callable[[Any], bool]:
    """Whether a leaf is of the chosen types, or passes the chosen test."""
    if isinstance(chosen, type | tuple) or hasattr(chosen, "__args__"):
        return lambda leaf: isinstance(leaf, chosen)
    return chosen


def map_only(type_or_types_or_pred: Any) -> Callable[[Callable], Callable]:
    """A decorator: the function for leaves of some types, others as they are."""
    fits = _chooser(type_or_types_or_pred)

    def decorate(func: Callable) -> Callable:
        return functools.wraps(func)(lambda leaf: func(leaf) if fits(leaf) else leaf)

    return decorate


def tree_map_only(type_or_types_or_pred: Any, /, func: Callable, tree: Any, is_leaf: IsLeaf = None) -> Any:
    """`tree_map` for leaves of some types, or that pass a test; the others stay."""
    return tree_map(map_only(type_or_types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_map_only_(type_or_types_or_pred: Any, /, func: Callable, tree: Any, is_leaf: IsLeaf = None) -> Any:
    """`tree_map_` for leaves of some types, or that pass a test."""
    return tree_map_(map_only(type_or_types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether all leaves pass a test."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether a leaf passes a test."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_all_only(type_or_types: Any, /, pred: Callable, tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether all leaves of some types pass a test."""
    fits = _chooser(type_or_types)
    return all(pred(leaf) for leaf in tree_leaves(tree, is_leaf) if fits(leaf))


def tree_any_only(type_or_types: Any, /, pred: Callable, tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether a leaf of some types passes a test."""
    fits = _chooser(type_or_types)
    return any(pred(leaf) for leaf in tree_leaves(tree, is_leaf) if fits(leaf))


def tree_leaves_with_path(tree: Any, is_leaf: IsLeaf = None) -> list[tuple[tuple, Any]]:
    """The leaves of a nest, each with the keys that lead to it."""
    return list(_walk((), tree, is_leaf))


def _walk(path: tuple, tree: Any, is_leaf: IsLeaf) -> Iterator[tuple[tuple, Any]]:
    kind, container = container_of(tree)
    if container is None or (is_leaf is not None and is_leaf(tree)):
        yield path, tree
        return
    if container.keys is None:
        raise ArgumentError(f"[tree_flatten_with_path] {kind} was registered without flatten_with_keys_fn")
    for key, child in zip(container.keys(tree), container.flatten(tree)[0], strict=True):
        yield from _walk((*path, key), child, is_leaf)


def tree_flatten_with_path(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[tuple[tuple, Any]], TreeSpec]:
    """The leaves with the keys that lead to them, and the nest's shape."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(func: Callable, tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """`tree_map` with a function that is told the keys, too."""
    pairs, spec = tree_flatten_with_path(tree, is_leaf)
    paths, leaves = [path for path, _ in pairs], [leaf for _, leaf in pairs]
    return spec.unflatten(map(func, paths, leaves, *(spec.flatten_up_to(rest) for rest in rests)))


def keystr(kp: tuple) -> str:
    """The keys as Python writes them."""
    return "".join(map(str, kp))


def key_get(obj: Any, kp: tuple) -> Any:
    """What the keys lead to."""
    return functools.reduce(lambda value, key: key.get(value), kp, obj)
