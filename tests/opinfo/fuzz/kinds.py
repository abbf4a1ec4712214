"""What functions are called with: one method of Drawn for each kind of argument that calls.txt names.

Most draws fit; a few do not, on purpose: places out of range, shapes that do not broadcast, other things.
"""

from __future__ import annotations

import math
import random
from typing import Any

from opinfo import carrying

FLOATS = ["float32"] * 6 + ["float64"] * 3 + ["float16", "bfloat16"]
INTEGERS = ["int64"] * 3 + ["int32", "uint8", "int8", "int16"]
KINDS = [*FLOATS, *FLOATS, *INTEGERS, "bool", "complex64"]
# What belongs in the place of no argument that a call may be given.
STRANGERS = ["abc", 1.5, None, [1], {}, object, -100, (), True, 1j]
INFINITE = [math.inf, -math.inf, math.nan, 0.0]


class Drawn:
    """The arguments of one call, drawn one after the other: later ones fit the first tensor, `first`."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self.first: Any = None
        self.last = 0
        self.at: Any = None
        carrying.torch.manual_seed(self.random.randrange(2**31))

    def draw(self, kind: str) -> Any:
        """One argument of a kind."""
        value = getattr(self, kind)()
        if self.first is None and isinstance(value, carrying.torch.Tensor):
            self.first = value
        if isinstance(value, int) and not isinstance(value, bool):
            self.last = value
        return value

    def chance(self, of_one: float) -> bool:
        return self.random.random() < of_one

    def choice(self, values: Any) -> Any:
        return self.random.choice(values)

    # Dtypes, shapes and numbers.

    def dtype(self) -> Any:
        return getattr(carrying.torch, self.choice(KINDS))

    def float_dtype(self) -> Any:
        return getattr(carrying.torch, self.choice(FLOATS))

    def memory_format(self) -> Any:
        torch = carrying.torch
        return self.choice([torch.contiguous_format, torch.channels_last, torch.preserve_format])

    def _shape(self, fewest: int = 0, most: int = 4) -> tuple[int, ...]:
        count = self.random.choices(range(5), [1, 3, 4, 3, 1])[0]
        count = max(fewest, min(most, count))
        return tuple(self.choice([1, 2, 3, 4, 5] if self.chance(0.95) else [0, 1]) for _ in range(count))

    def shape(self) -> Any:
        return self.choice([tuple, list])(self._shape())

    def number(self) -> Any:
        return self.choice([0, 1, 2, -1, 3, 0.5, -1.5, 2.0, True, 1.25])

    def integer(self) -> int:
        return self.choice([0, 1, 2, 3, -1, 5])

    def count(self) -> int:
        return self.choice([1, 1, 2, 3, 0])

    def positive(self) -> float:
        return self.choice([0.1, 0.5, 2.0, 1.0, 0.0])

    def tiny(self) -> float:
        return self.choice([1e-3, 1e-5, 0.01])

    def flag(self) -> bool:
        return self.chance(0.5)

    def flag_number(self) -> int:
        return self.choice([0, 0, 1])

    def zero_or_one(self) -> float:
        return self.choice([0.0, 1.0, -0.1, 1.5])

    def order(self) -> Any:
        return self.choice([2, 1, 0, math.inf, -math.inf, 3, 0.5, None])

    def data(self) -> Any:
        nested = [
            [1, 2],
            [1.0, 2],
            [[1, 2], [3, 4]],
            [],
            [[]],
            [True, False],
            (1, 2.5),
            [[1], [2, 3]],
            [1, 2j],
        ]
        return self.choice([1, 2.5, True, 3j, "a", None, [None], *nested])

    # Words.

    def rounding(self) -> Any:
        return self.choice([None, "floor", "trunc", "ceil"])

    def interpolation(self) -> str:
        return self.choice(["linear", "lower", "higher", "midpoint", "nearest"])

    def reduction(self) -> str:
        return self.choice(
            ["mean", "sum", "none", "none", "bad"] if self.chance(0.1) else ["mean", "sum", "none"]
        )

    def reduction_of_scatter(self) -> str:
        return self.choice(["add", "multiply"])

    def scatter_word(self) -> str:
        return self.choice(["sum", "prod", "mean", "amax", "amin"])

    def equation(self) -> str:
        return self.choice(["ij,jk->ik", "ij,jk", "...j,jk->...k", "ij,jk->ki", "ij,kl->", "bij,jk->k"])

    def mode(self) -> str:
        return self.choice(["nearest", "bilinear", "bicubic", "area", "nearest-exact", "linear"])

    def pad_mode(self) -> str:
        return self.choice(["constant", "reflect", "replicate", "circular"])

    def grid_mode(self) -> str:
        return self.choice(["bilinear", "nearest", "bicubic"])

    def grid_padding(self) -> str:
        return self.choice(["zeros", "border", "reflection"])

    # Dims and sizes of the first tensor.

    def _dim(self, more: int = 0) -> int:
        count = self.first.ndim + more
        if self.chance(0.04):
            return self.choice([count, -count - 1, 7])
        return self.random.randrange(-count, count) if count else self.choice([0, -1])

    def dim(self) -> int:
        return self._dim()

    def new_dim(self) -> int:
        return self._dim(1)

    def dims(self) -> Any:
        count = self.first.ndim
        if not count or self.chance(0.5):
            return self._dim()
        chosen = [
            dim - count * self.chance(0.4)
            for dim in self.random.sample(range(count), self.random.randrange(1, count + 1))
        ]
        if self.chance(0.04):
            chosen.append(chosen[0])
        return self.choice([tuple, list])(chosen)

    def permutation(self) -> Any:
        order = self.random.sample(range(self.first.ndim), self.first.ndim)
        return self.choice([tuple, list])(order)

    def sizes(self) -> Any:
        rest, found = max(self.first.numel(), 1), []
        while rest > 1 and len(found) < 3:
            found.append(self.choice([size for size in range(1, rest + 1) if rest % size == 0]))
            rest //= found[-1]
        found.append(rest)
        self.random.shuffle(found)
        if not self.first.numel():
            found = list(self.first.shape)
        if found and self.chance(0.4):
            found[self.random.randrange(len(found))] = self.choice([-1, -1, -1, 7])
        return self.choice([tuple, list])(found)

    def stretched(self) -> Any:
        sizes = [3 if size == 1 and self.chance(0.5) else size for size in self.first.shape]
        sizes = [size if self.chance(0.8) else -1 for size in sizes]
        return self.choice([tuple, list])([2, *sizes] if self.chance(0.4) else sizes)

    def times(self) -> Any:
        count = max(self.first.ndim + self.choice([0, 0, 1]), 1)
        return self.choice([tuple, list])(self.choice([1, 2, 1, 2, 0]) for _ in range(count))

    def sections(self) -> Any:
        return self.choice([1, 2, 3, [1], [1, 2], 0])

    def last_sizes(self) -> Any:
        first = self.random.randrange(self.first.ndim) if self.first.ndim else 0
        return self.choice([tuple, list])(self.first.shape[first:])

    def margins(self) -> Any:
        pairs = self.random.randrange(1, min(self.first.ndim, 3) + 1) if self.first.ndim else 1
        return self.choice([tuple, list])(self.choice([0, 1, 2, -1, 0, 1]) for _ in range(2 * pairs))

    def item(self) -> Any:
        torch, items = carrying.torch, []
        for size in self.first.shape[: self.random.randrange(self.first.ndim + 1)]:
            whole = self.random.randrange(-size, size) if size and self.chance(0.96) else 9
            part = slice(
                self.choice([None, 0, 1, -2]), self.choice([None, 2, -1, 9]), self.choice([None, 1, 2])
            )
            places = torch.randint(0, max(size, 1), self.choice([(2,), (1,), (), (2, 1)]))
            truths = torch.randint(0, 2, (size,)).bool()
            listed = [self.random.randrange(max(size, 1)) for _ in range(2)]
            items.append(self.choice([whole, whole, part, part, None, ..., places, listed, truths]))
        return items[0] if len(items) == 1 and self.chance(0.5) else tuple(items)
