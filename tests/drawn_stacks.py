"""Stacks of layers drawn by chance, as text that PyTorch and devtensor both evaluate.

A layer is drawn for the shape that came out of the layers before it, from the list for its number of dims;
what PyTorch does not take, or what makes too much or nothing of it, is drawn again.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, NamedTuple

STARTS = [(5, 6), (4, 4, 8), (3, 2, 6), (4, 4, 6, 5), (3, 2, 5, 6), (3, 2, 4, 3, 5)]
LABELS = (3, 5)


def _lists() -> dict[str, list[str]]:
    """The lists of data/stacks.txt by name."""
    found: dict[str, list[str]] = {}
    text = (Path(__file__).parent / "data" / "stacks.txt").read_text()
    for line in text.splitlines():
        if line.startswith("["):
            found[line.strip("[]")] = here = []
        elif line and not line.startswith("#"):
            here.append(line)
    return found


LISTS = _lists()


class Stack(NamedTuple):
    """What to build, what goes into it, and how it is trained."""

    layers: list[str]
    shape: tuple[int, ...]
    labels: bool
    optimizer: str
    schedule: str

    def text(self) -> str:
        return f"nn.Sequential({','.join(self.layers)})"


def drawn(seed: int, run: Any) -> Stack:
    """The stack of a seed. `run(layers, shape, labels)` gives the shape of PyTorch's result, or None."""
    source = random.Random(seed)
    labels = source.random() < 0.15
    shape = LABELS if labels else source.choice(STARTS)
    layers: list[str] = [source.choice(LISTS["labels"])] if labels else []
    now = run(layers, shape, labels) if labels else shape
    wanted = len(layers) + source.randint(2, 6)
    while len(layers) < wanted:
        where = "anywhere" if source.random() < 0.3 else str(len(now))
        layer = written(source, source.choice(LISTS[where]), now)
        made = run([*layers, layer], shape, labels)
        if made is not None:
            layers, now = [*layers, layer], made
    return Stack(layers, shape, labels, *(source.choice(LISTS[name]) for name in ("optimizers", "schedules")))


def written(source: random.Random, layer: str, shape: tuple[int, ...]) -> str:
    """A layer of the tables with numbers that fit the shape of what it gets."""
    divisors = [n for n in range(1, shape[1] + 1) if shape[1] % n == 0]
    return layer.format(
        c=shape[1],
        f=shape[-1],
        w=source.choice([1, 2, 3]),
        k=source.choice([2, 4, 6]),
        g=source.choice(divisors),
    )
