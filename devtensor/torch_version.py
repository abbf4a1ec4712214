"""A version that compares with texts and tuples."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["TorchVersion"]


class TorchVersion(str):
    """A version text whose release compares number by number: `version >= (2, 1)`, `version < "2.10"`.

    Source: the release part of PEP 440; a pre-release comes before its release, a local label counts for
    nothing.
    """

    @property
    def release(self) -> tuple[tuple[int, ...], bool]:
        """The release's numbers, without zeros at the end, and whether it is no pre-release."""
        return _release(self)

    def _compare(self, other: Any) -> int:
        mine, theirs = _release(self), _release(other)
        return (mine > theirs) - (mine < theirs)

    def __lt__(self, other: Any) -> bool:
        return self._compare(other) < 0

    def __le__(self, other: Any) -> bool:
        return self._compare(other) <= 0

    def __gt__(self, other: Any) -> bool:
        return self._compare(other) > 0

    def __ge__(self, other: Any) -> bool:
        return self._compare(other) >= 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str | tuple | list) and self._compare(other) == 0

    def __hash__(self) -> int:
        return str.__hash__(self)


def _release(version: Any) -> tuple[tuple[int, ...], bool]:
    text = version if isinstance(version, str) else ".".join(map(str, version))
    public = text.partition("+")[0]
    found = re.match(r"v?(\d+(?:\.\d+)*)(.*)", public)
    if found is None:
        return (), False
    numbers = [int(number) for number in found[1].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers), not re.match(r"[-_.]?(a|b|c|rc|dev|alpha|beta)", found[2])
