"""What of a module shapes its computation: a captured graph asks for it before each replay."""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any

from devtensor.core.feed import depend
from devtensor.core.state import current
from devtensor.nn.modules.everywhere import _global_forward_hooks, _global_forward_pre_hooks

# Attributes of these kinds are settings: Dropout's p, BatchNorm's momentum, a flag of the user's own.
PLAIN = (bool, int, float, str, type(None))


def announce(module: Any) -> None:
    """Let a capture know that what runs now depends on the module's circumstances.

    Every call of a module does; a forward whose meaning hangs on `training` does so too, since it may be what
    is captured itself.
    """
    if current().layers:
        depend(partial(circumstances, weakref.ref(module)))


def circumstances(module: weakref.ref[Any]) -> tuple | None:
    """A module's settings, and which parameters, buffers, modules and hooks it has; None when it is gone."""
    found = module()
    if found is None:
        return None
    attributes = vars(found)
    settings = tuple(
        (name, value) for name, value in attributes.items() if not name.startswith("_") and _is_plain(value)
    )
    members = tuple(
        (name, id(member))
        for kind in ("_parameters", "_buffers", "_modules")
        for name, member in attributes[kind].items()
    )
    own = (attributes[kind] for kind in ("_forward_pre_hooks", "_forward_hooks"))
    hooks = tuple(map(tuple, (*own, _global_forward_pre_hooks, _global_forward_hooks)))
    return settings, members, hooks


def _is_plain(value: Any) -> bool:
    """Whether a setting compares by value: a number, a text, None, or a tuple of such."""
    return isinstance(value, PLAIN) or (isinstance(value, tuple) and all(map(_is_plain, value)))
