"""Hooks: functions that users register to be called, and the handles that take them away again."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from itertools import count
from typing import Any

_numbers = count()


class RemovableHandle:
    """What registering a hook gives: `remove()` takes the hook away again. Also a context manager."""

    def __init__(self, hooks: OrderedDict, *others: OrderedDict) -> None:
        self.id = next(_numbers)
        self.places = [weakref.ref(place) for place in (hooks, *others)]

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        for ref in self.places:
            place = ref()
            if place is not None:
                place.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def add_hook(hooks: OrderedDict, hook: Any, prepend: bool = False, **flags: OrderedDict) -> RemovableHandle:
    """Add a hook, before or after the others; `flags` are tables in which it is marked true."""
    handle = RemovableHandle(hooks, *flags.values())
    hooks[handle.id] = hook
    for table in flags.values():
        table[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


class Hooks:
    """What is called when backward comes to a node, in this order.

    `tensor` holds (output, hook) for gradients of single outputs; `retained`, by output, a weak reference to
    the tensor that keeps its gradient; `before` hears all gradients that arrive; `after` also what the
    node's formulas made of them.
    """

    __slots__ = ("after", "before", "retained", "tensor")

    def __init__(self) -> None:
        self.tensor: OrderedDict = OrderedDict()
        self.retained: dict[int, weakref.ref] = {}
        self.before: OrderedDict = OrderedDict()
        self.after: OrderedDict = OrderedDict()
