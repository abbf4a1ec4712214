"""The CUDA sources by name, with their entry points, what these take, and how many threads they want."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from devtensor_cupy.compile.prelude import C_TYPES, PRELUDE, instance

ENTRY = re.compile(r'extern "C" __global__ void (\w+)\(([^)]*)\)')
KINDS = {
    "long long": "int64", "int": "int32", "float": "float32", "double": "float64", "Walk": "walk",
    "Axes": "axes",
}  # fmt: skip
LARGEST_GRID = 2**31 - 1
ENOUGH_BLOCKS = 4096
"""Grid-stride kernels gain nothing from more."""


@dataclass(frozen=True)
class Launch:
    """Threads of a block, and the pieces of work one block takes; `strided` kernels go on past their grid."""

    threads: int = 256
    per_block: int = 256
    strided: bool = True

    def blocks(self, work: int) -> int:
        """Blocks for so many pieces of work, at least one.

        Errors: ValueError for more than a grid can have.
        """
        blocks = max(1, -(-work // self.per_block))
        if self.strided:
            return min(blocks, ENOUGH_BLOCKS)
        if blocks > LARGEST_GRID:
            raise ValueError(
                f"[launch] {work} pieces of work need {blocks} blocks; a grid has {LARGEST_GRID}"
            )
        return blocks


ELEMENTS = Launch()
"""A thread per element, striding."""
CHUNKS = Launch(per_block=1, strided=False)
"""A block per chunk of a pointer table."""
BLOCK_ROWS = Launch(per_block=1)
"""A block per row, striding."""
WARP_ROWS = Launch(threads=128, per_block=4)
"""A warp per row, striding."""
ONE_BLOCK = Launch(per_block=LARGEST_GRID)
"""A single block for everything."""


@dataclass(frozen=True)
class Entry:
    """A kernel: its name, the kinds of its arguments in order, and its launch shape."""

    name: str
    arguments: tuple[str, ...]
    launch: Launch


@dataclass(frozen=True)
class Source:
    """A CUDA source that stands for itself, and its kernels by name."""

    name: str
    text: str
    entries: dict[str, Entry]


def kind_of(parameter: str) -> str:
    """The kind of a declared parameter: "pointer", its dtype, or the structure that it is."""
    if "*" in parameter:
        return "pointer"
    declared = parameter.rsplit(" ", 1)[0].removeprefix("const ")
    return KINDS[declared]


def source(name: str, text: str, launches: dict[str, Launch]) -> Source:
    """A source whose entry points are read from its text; `launches` goes by the beginnings of their names.

    Errors: ValueError for an entry point without a launch shape.
    """
    entries = {}
    for entry, parameters in ENTRY.findall(text):
        shapes = [launch for beginning, launch in launches.items() if entry.startswith(beginning)]
        if len(shapes) != 1:
            raise ValueError(
                f"[source] {len(shapes)} launch shapes are given for {entry} of {name}; needs one"
            )
        kinds = tuple(kind_of(" ".join(p.split())) for p in parameters.split(",") if p.strip())
        entries[entry] = Entry(entry, kinds, shapes[0])
    return Source(name, text, entries)


def family(name: str, text: str, template: str, launches: dict[str, Launch]) -> list[Source]:
    """A source for each floating dtype: what one program uses compiles in a part of a second."""
    return [
        source(f"{name}_{dtype}", PRELUDE + text + instance(template, dtype), launches) for dtype in C_TYPES
    ]


class Sources:
    """All sources, and which of them holds a kernel."""

    def __init__(self, *sources: Source) -> None:
        self.by_name = {each.name: each for each in sources}
        self.home = {entry: each for each in sources for entry in each.entries}

    def __iter__(self) -> Iterator[Source]:
        return iter(self.by_name.values())

    def __getitem__(self, name: str) -> Source:
        return self.by_name[name]

    def of(self, entry: str) -> Source:
        """The source that holds a kernel.

        Errors: KeyError for a name that none holds.
        """
        if entry not in self.home:
            raise KeyError(f"[sources] no source has a kernel {entry}; there are {', '.join(self.home)}")
        return self.home[entry]
