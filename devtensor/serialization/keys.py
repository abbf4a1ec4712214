"""What may be the key of a dict, or stand in a set."""

from __future__ import annotations

from typing import Any

from devtensor.serialization.errors import UnpicklingError

# Keys of dicts and sets may be tuples of tuples no deeper and no larger than this: Python hashes them by
# recursion in C, which has no bottom of its own.
KEY_DEPTH = 64
KEY_PARTS = 10_000


def checked_key(key: Any) -> Any:
    """The key, if Python can hash it without running out of room.

    Errors: UnpicklingError for tuples nested too deep.
    """
    if type(key) not in (tuple, frozenset):
        return key
    parts: list[tuple[Any, int]] = [(key, 1)]
    seen = 0
    while parts:
        part, depth = parts.pop()
        seen += 1
        if depth > KEY_DEPTH or seen > KEY_PARTS:
            raise UnpicklingError("a key of a dict or set is nested too deep")
        if isinstance(part, (tuple, frozenset)):
            parts += [(each, depth + 1) for each in part]
    return key
