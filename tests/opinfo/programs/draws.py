"""What stands in the holes of a statement: text drawn to fit the tensors of the program so far."""

from __future__ import annotations

import random
import re
from math import prod
from typing import Any

HOLE = re.compile(r"\{(\w+)\}")
FLOATS = ["float64"] * 4 + ["float32"] * 2 + ["float16", "bfloat16"]
REALS = [*FLOATS, "int64", "int64", "int32", "uint8"]
DTYPES = [*REALS, "bool", "complex128"]
# Numbers that every dtype holds exactly, and a few that integers do not.
NUMBERS = [0, 1, 2, 3, -1, 0.5, -1.5, 2.0, True]
RARELY = 0.03


class Draws:
    """One statement's holes: `wanted` draws names from `pool`, the first library's tensors by name."""

    def __init__(self, source: random.Random, pool: dict[str, Any]) -> None:
        self.random, self.pool = source, pool
        self.found: dict[str, str] = {}
        self.at: Any = None
        self.last_dim = 0

    def fill(self, template: str) -> str:
        """The statement with all holes filled; one name is one text."""
        for name in ("x", "f"):
            if f"{{{name}}}" in template:
                self._text(name)
        if self.at is None and self.pool:
            self.x()
        return HOLE.sub(lambda hole: self._text(hole[1]), template)

    def _text(self, name: str) -> str:
        if name not in self.found:
            self.found[name] = str(getattr(self, name.rstrip("0123456789"))())
        return self.found[name]

    def rarely(self) -> bool:
        return self.random.random() < RARELY

    def choice(self, values: Any) -> Any:
        return self.random.choice(values)

    # Tensors.

    def x(self) -> str:
        return self._named(list(self.pool))

    def f(self) -> str:
        floats = [name for name, x in self.pool.items() if x.dtype.is_floating_point and x.requires_grad]
        return self._named(floats or list(self.pool))

    def leaf(self) -> str:
        leaves = [name for name, x in self.pool.items() if x.requires_grad and is_leaf(x)]
        return self.choice(leaves if leaves and not self.rarely() else list(self.pool))

    def out(self) -> str:
        """A tensor that the statement does not read, of the shape of the one it reads."""
        free = [
            name
            for name, x in self.pool.items()
            if name not in self.found.values() and x.shape == self.at.shape and not x.requires_grad
        ]
        return self.choice(free) if free else self.fresh()

    def fresh(self) -> str:
        """Memory that a result makes room in."""
        dtype = str(self.at.dtype).split(".")[-1]
        return f"T.empty(0, dtype=T.{self.choice(DTYPES) if self.rarely() else dtype})"

    def y(self) -> str:
        shape = self.at.shape
        alike = [name for name, x in self.pool.items() if x.shape == shape]
        fitting = [name for name, x in self.pool.items() if _broadcasts(x.shape, shape)]
        kind = self.random.random()
        chosen = alike if kind < 0.5 else fitting if kind < 0.85 else list(self.pool)
        return self.choice(chosen or list(self.pool))

    def _named(self, names: list[str]) -> str:
        name = self.choice(names)
        self.at = self.pool[name]
        return name

    # Dtypes, numbers, shapes.

    def dtype(self) -> str:
        return f"T.{self.choice(DTYPES)}"

    def floating(self) -> str:
        return f"T.{self.choice([*FLOATS, 'complex128'])}"

    def real(self) -> str:
        return f"T.{self.choice(REALS)}"

    def number(self) -> Any:
        return "2j" if self.rarely() else self.choice(NUMBERS)

    def count(self) -> int:
        return self.choice([0, 1, 2, 3, 5, 6])

    def shape(self) -> tuple[int, ...]:
        made = getattr(self, "_shape", None)
        if made is None:
            made = tuple(
                self.choice([1, 2, 2, 3, 3, 5, 0]) for _ in range(self.choice([0, 1, 1, 2, 2, 2, 3, 3, 4]))
            )
        self._shape = made
        return made

    def values(self) -> list[float]:
        self._shape = self.shape()
        return [self.choice([0, 1, 2, 3, 1, 2, 0.5, 1.5]) for _ in range(prod(self._shape))]

    def twenty_four(self) -> tuple[int, ...]:
        return self.choice([(24,), (4, 6), (2, 3, 4), (2, 2, 3, 2), (1, 24), (3, 1, 8), (2, 2, 2, 3)])

    def like(self) -> str:
        return f"T.ones({tuple(self.at.shape)}, dtype=T.{str(self.at.dtype).split('.')[-1]})"

    def sizes(self) -> tuple[int, ...]:
        """Sizes whose product is the number of elements."""
        count, sizes = self.at.numel(), []
        if self.rarely():
            return self.shape()
        while count > 1 and len(sizes) < 3:
            sizes.append(self.choice([k for k in range(1, count + 1) if count % k == 0]))
            count //= sizes[-1]
        sizes.append(count)
        if self.random.random() < 0.3:
            sizes.insert(self.random.randrange(len(sizes) + 1), 1)
        if self.random.random() < 0.2:
            sizes[self.random.randrange(len(sizes))] = -1
        return tuple(sizes)

    def wider(self) -> list[int]:
        sizes = [
            n if n != 1 or self.random.random() < 0.4 else self.choice([-1, 2, 3, 0]) for n in self.at.shape
        ]
        return [2, *sizes] if self.random.random() < 0.3 else sizes

    def strides(self) -> tuple[int, ...]:
        """Strides for the shape drawn before, mostly within the memory."""
        sizes = self.shape()
        if not self.at.numel():
            # What memory nothing lies in, and what flows back to it, each library sees in its own way.
            return (1,) * (len(sizes) + 1)
        steps, room = [], max(self.at.numel() - 1, 0)
        for size in sizes:
            step = (
                self.choice([0, 1, 2, 3])
                if self.rarely()
                else self.random.randint(0, room // max(size - 1, 1))
            )
            steps.append(step)
            room = max(room - step * max(size - 1, 0), 0)
        return tuple(steps)

    def repeats(self) -> tuple[int, ...]:
        count = self.at.dim() + self.choice([0, 0, 1]) - self.rarely()
        return tuple(self.choice([1, 2, 1, 0]) for _ in range(max(count, 0)))

    def pads(self) -> tuple[int, ...]:
        count = self.random.randint(0, self.at.dim())
        return tuple(self.choice([0, 1, 2, -1]) for _ in range(2 * count))

    # Dims and places.

    def dim(self) -> int:
        ndim = max(self.at.dim(), 1)
        found = ndim + 1 if self.rarely() else self.random.randrange(-ndim, ndim)
        if "dim" not in self.found:
            self.last_dim = found
        return found

    def order(self) -> tuple[int, ...]:
        ndim = self.at.dim()
        found = self.random.sample(range(ndim), ndim)
        return tuple(d - ndim if self.random.random() < 0.2 else d for d in found)

    def _size(self) -> int:
        ndim = self.at.dim()
        return self.at.shape[self.last_dim] if -ndim <= self.last_dim < ndim else 1

    def start(self) -> int:
        return self.random.randint(-1, max(self._size() - 1, 0))

    def place(self) -> int:
        size = self._size()
        return self.random.randrange(-size, size) if size and not self.rarely() else size

    def length(self) -> int:
        return self.choice([0, 1, 1, 2, 2, 3])

    def step(self) -> int:
        return self.choice([1, 2, 2, 3, 0] if self.rarely() else [1, 2, 2, 3])

    def offset(self) -> int:
        return self.choice([0, 0, 1, -1, 2])

    # Indices.

    def basic(self) -> str:
        """Ints, slices, Nones, at most one Ellipsis."""
        return self._joined([self._basic_entry(size) for size in self._sizes_kept()])

    def index(self) -> str:
        """Any entries, among them index tensors, lists and masks."""
        entries, sizes, skip = [], self._sizes_kept(), 0
        for place, size in enumerate(sizes):
            if skip:
                skip -= 1
                continue
            kind = self.random.random()
            if kind < 0.35:
                entries.append(self._index_tensor(size))
            elif kind < 0.45:
                count = self.choice([1, 1, 2])
                entries.append(self._mask(tuple(sizes[place : place + count])))
                skip = count - 1
            elif kind < 0.5:
                entries.append(
                    self.choice(["True", "False", "T.tensor(True)", "T.tensor(0)", "[0]", "[True]"])
                )
            else:
                entries.append(self._basic_entry(size))
        return self._joined(entries)

    def _sizes_kept(self) -> list[int]:
        ndim = self.at.dim()
        return list(self.at.shape[: self.random.randint(0, ndim)]) + [1] * self.rarely()

    def _joined(self, entries: list[str]) -> str:
        if self.random.random() < 0.15 and "..." not in entries:
            entries.insert(self.random.randrange(len(entries) + 1), "...")
        if self.random.random() < 0.12:
            entries.insert(self.random.randrange(len(entries) + 1), "None")
        return ", ".join(entries) or "..."

    def _basic_entry(self, size: int) -> str:
        if self.random.random() < 0.4 and size:
            return str(size if self.rarely() else self.random.randrange(-size, size))
        ends = [self.choice(["", "", str(self.random.randint(-size - 1, size + 1))]) for _ in range(2)]
        step = self.choice(["", "", ":1", ":2", ":3"])
        return f"{ends[0]}:{ends[1]}{step}"

    def _index_tensor(self, size: int) -> str:
        shape = self.choice([(), (1,), (2,), (2,), (3,), (2, 1), (1, 2), (2, 2), (0,)] if size else [(0,)])
        found = [self.random.randrange(-size, size) for _ in range(prod(shape))] if size else []
        if found and self.rarely():
            found[0] = size
        if len(shape) == 1 and self.random.random() < 0.3:
            return str(found)
        dtype = self.choice(
            ["int64", "int64", "int64", "int32", "uint8"] if self.rarely() else ["int64", "int32"]
        )
        return f"T.tensor({found}, dtype=T.{dtype}).reshape({shape})"

    def _mask(self, shape: tuple[int, ...]) -> str:
        found = [self.random.random() < 0.5 for _ in range(prod(shape))]
        return f"T.tensor({found}, dtype=T.bool).reshape({shape})"

    def mask(self) -> str:
        shape = tuple(self.at.shape)
        if self.random.random() < 0.3 and shape:
            shape = shape[1:] if self.random.random() < 0.5 else (1, *shape[1:])
        return self._mask(shape)

    def line(self) -> str:
        size = self._size() if "dim" in self.found else (self.at.shape[0] if self.at.dim() else 1)
        found = [self.random.randrange(size) for _ in range(self.choice([0, 1, 2, 2, 3]))] if size else []
        if found and self.rarely():
            found[0] = self.choice([-1, size])
        return f"T.tensor({found}, dtype=T.{self.choice(['int64', 'int64', 'int32'])})"

    def places(self) -> str:
        shape = [self.random.randint(0 if self.rarely() else min(size, 1), size) for size in self.at.shape]
        if shape and -len(shape) <= self.last_dim < len(shape) and self._size():
            shape[self.last_dim] = self.choice([1, 2, 3])
        size = max(self._size(), 1)
        found = [self.random.randrange(size) for _ in range(prod(shape))]
        if found and self.rarely():
            found[0] = self.choice([-1, size])
        return f"T.tensor({found}, dtype=T.int64).reshape({tuple(shape)})"

    def flat_places(self) -> str:
        size = self.at.numel()
        found = [self.random.randrange(-size, size) for _ in range(self.choice([0, 1, 2, 3]))] if size else []
        return f"T.tensor({found}, dtype=T.int64)"


def is_leaf(x: Any) -> bool:
    """Whether a tensor is a leaf; a view of which a write has spoiled the history is none."""
    try:
        return x.is_leaf
    except RuntimeError:
        return False


def _broadcasts(shape: Any, to: Any) -> bool:
    """Whether a shape is stretched to another by broadcasting."""
    if len(shape) > len(to):
        return False
    return all(a in (1, b) for a, b in zip(reversed(shape), reversed(to), strict=False))
