"""A line that says how far something is, where tqdm is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sized
from typing import Any


class Progress:
    """The part of tqdm's bar that loops and downloads use: a number on the error stream.

    Example: `for batch in Progress(loader): ...`.
    """

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        desc: str | None = None,
        total: float | None = None,
        disable: bool | None = False,
        unit: str = "it",
        **settings: Any,
    ) -> None:
        self.iterable = iterable
        self.desc = desc or ""
        self.total = len(iterable) if total is None and isinstance(iterable, Sized) else total
        self.disable = disable
        self.unit = unit
        self.n = 0
        self.noted = ""

    def __iter__(self) -> Iterator[Any]:
        with self:
            for item in self.iterable or ():
                yield item
                self.update()

    def __len__(self) -> int:
        return int(self.total or 0)

    def update(self, n: float = 1) -> None:
        """Count `n` more, and show it."""
        self.n += n
        self._show()

    def set_description(self, desc: str | None = None, refresh: bool = True) -> None:
        """Choose what stands before the number."""
        self.desc = desc or ""

    def set_postfix(self, ordered_dict: Any = None, refresh: bool = True, **values: Any) -> None:
        """Choose what stands behind the number: names and values."""
        values = {**(ordered_dict or {}), **values}
        self.noted = ", ".join(f"{name}={value}" for name, value in values.items())

    def write(self, s: str, *_: Any, **settings: Any) -> None:
        """Write a line of its own."""
        sys.stderr.write(f"{s}\n")

    def close(self) -> None:
        """End the line; nothing is shown from then on."""
        if not self.disable and self.n:
            sys.stderr.write("\n")
        self.disable = True

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _show(self) -> None:
        if self.disable:
            return
        so_far = f"{100 * self.n / self.total:.1f}%" if self.total else f"{self.n} {self.unit}"
        parts = (self.desc and f"{self.desc}:", so_far, self.noted)
        sys.stderr.write("\r" + " ".join(part for part in parts if part))
        sys.stderr.flush()
