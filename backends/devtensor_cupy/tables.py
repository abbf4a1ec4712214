"""Pointer tables on the device, kept as long as they fit: a steady step uploads nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cupy
import numpy as np

from devtensor_cupy.compile.multi_tensor import pack_table
from devtensor_cupy.pinned import Pinned

KEPT = 64

Arrays = Sequence[Any]


@dataclass(eq=False)
class Table:
    """A table on the device, the blocks that it wants, and whether its arrays overlap."""

    content: Any
    tensors: int
    blocks: int
    overlaps: bool

    @property
    def address(self) -> int:
        """Where the table lies."""
        return self.content.data.ptr


class Tables:
    """The tables that were made last, by device, stream, addresses, sizes and the width of elements.

    By stream, since a table is there once the stream that brought it has come so far.
    """

    def __init__(self, pinned: Pinned) -> None:
        self.pinned = pinned
        self.kept: OrderedDict[tuple, Table] = OrderedDict()
        self.uploads = 0

    def of(self, lists: Sequence[Arrays], writes: bool = True) -> Table | None:
        """The table of lists of arrays, the first of which tells the sizes.

        None if arrays overlap, and `writes` says that some are written.
        """
        addresses = tuple([tuple([array.data.ptr for array in arrays]) for arrays in lists])
        sizes, width = tuple([array.size for array in lists[0]]), lists[0][0].itemsize
        key = cupy.cuda.runtime.getDevice(), cupy.cuda.get_current_stream().ptr, addresses, sizes, width
        # Taken out and put back behind all others, since threads may look for tables at the same time.
        found = self.kept.pop(key, None)
        if found is None:
            found = self.uploaded(addresses, sizes, overlap(lists, addresses))
            if len(self.kept) >= KEPT:
                self.kept.popitem(last=False)
        self.kept[key] = found
        return None if writes and found.overlaps else found

    def uploaded(self, addresses: Sequence[Sequence[int]], sizes: Sequence[int], overlaps: bool) -> Table:
        """A table on its way to the device: nobody waits for the copy."""
        content, blocks = pack_table(addresses, sizes)
        host = self.pinned.empty((len(content) // 8,), "int64")
        host[...] = np.frombuffer(content, np.int64)
        array = cupy.empty(host.shape, host.dtype)
        self.pinned.upload(host, array)
        self.uploads += 1
        return Table(array, len(sizes), blocks, overlaps)

    def forget(self) -> None:
        """Let all tables go."""
        self.kept.clear()


def overlap(lists: Sequence[Arrays], addresses: Sequence[Sequence[int]]) -> bool:
    """Whether two of the arrays, which lie without gaps, share memory."""
    spans = sorted(
        (begin, begin + array.nbytes)
        for arrays, begins in zip(lists, addresses, strict=True)
        for array, begin in zip(arrays, begins, strict=True)
        if array.nbytes
    )
    return any(after[0] < before[1] for before, after in pairwise(spans))
