"""Dictionaries that do not keep tensors alive, which compare by identity as keys."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, MutableMapping
from typing import Any

__all__ = ["TensorWeakRef", "WeakIdKeyDictionary", "WeakTensorKeyDictionary"]


class TensorWeakRef:
    """A reference that does not keep a tensor alive; calling it gives the tensor, or None."""

    def __init__(self, tensor: Any) -> None:
        self.ref = weakref.ref(tensor)

    def __call__(self) -> Any:
        return self.ref()


class WeakIdKeyDictionary(MutableMapping[Any, Any]):
    """Values by objects, which are told apart by identity; an entry goes when its object does."""

    def __init__(self, dict: Any = None) -> None:
        self._held: dict[int, tuple[weakref.ref, Any]] = {}
        self.update(dict or {})

    def __getitem__(self, key: Any) -> Any:
        return self._held[id(key)][1]

    def __setitem__(self, key: Any, value: Any) -> None:
        number, held = id(key), self._held
        self._held[number] = (weakref.ref(key, lambda _: held.pop(number, None)), value)

    def __delitem__(self, key: Any) -> None:
        del self._held[id(key)]

    def __iter__(self) -> Iterator[Any]:
        for ref, _ in list(self._held.values()):
            key = ref()
            if key is not None:
                yield key

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: object) -> bool:
        return id(key) in self._held


WeakTensorKeyDictionary = WeakIdKeyDictionary
