"""Hooks: functions that users register to be called, and the handles that take them away again."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any


class RemovableHandle:
    """What registering a hook gives: `remove()` takes the hook away again. Also a context manager."""

    next_id = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        others = extra_dict if isinstance(extra_dict, list) else [] if extra_dict is None else [extra_dict]
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.extra_dict_ref = tuple(map(weakref.ref, others))

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            place = ref()
            if place is not None:
                place.pop(self.id, None)

    def __getstate__(self) -> tuple:
        return self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref)

    def __setstate__(self, state: tuple) -> None:
        # What was gone when the handle was saved stays gone: a reference to nothing that lives on.
        hooks, self.id, others = state
        self.hooks_dict_ref = weakref.ref(OrderedDict() if hooks is None else hooks)
        self.extra_dict_ref = tuple(weakref.ref(OrderedDict() if o is None else o) for o in others)
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def add_hook(hooks: OrderedDict, hook: Any, prepend: bool = False, **flags: OrderedDict) -> RemovableHandle:
    """Add a hook, before or after the others; `flags` are tables in which it is marked true."""
    handle = RemovableHandle(hooks, extra_dict=list(flags.values()))
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
