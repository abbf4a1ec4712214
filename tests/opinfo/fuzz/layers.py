"""The arguments of layers, of linear algebra and of what counts and searches."""

from __future__ import annotations

from typing import Any

from opinfo import carrying
from opinfo.fuzz.kinds import FLOATS
from opinfo.fuzz.tensors import DrawnTensors


class Arguments(DrawnTensors):
    """All kinds of arguments."""

    def _drawn(self, *shape: int, gradient: float = 0.4) -> Any:
        """Numbers of the first tensor's dtype, which may want a gradient."""
        made = self._of_first(*shape)
        return made.requires_grad_() if made.is_floating_point() and self.chance(gradient) else made

    def _float_of_first(self) -> Any:
        return self.first.dtype if self.first.is_floating_point() else carrying.torch.float32

    # Images and what slides over them.

    def image(self) -> Any:
        return self.tensor(FLOATS, self.choice([(1, 2, 6, 6), (2, 4, 5, 7), (2, 6, 5), (4, 6, 6)]))

    def image4(self) -> Any:
        return self.tensor(FLOATS, (2, 3, 5, 6))

    def filters(self) -> Any:
        sides = [self.choice([1, 2, 3]) for _ in range(2)]
        return self._drawn(4, self._size(-3), *sides)

    def turned_filters(self) -> Any:
        return self._drawn(self._size(-3), 3, self.choice([1, 2, 3]), 2)

    def channels4(self) -> Any:
        return self.choice([None, self._drawn(4)])

    def channels(self) -> Any:
        return carrying.torch.rand(self._size(1), dtype=self.first.dtype)

    def groups(self) -> int:
        return self.choice([1, 2, 2, 4])

    def window(self) -> Any:
        return self.choice([1, 2, 3, 2, (2, 3), [2, 2], (2,)])

    def padding(self) -> Any:
        return self.choice([0, 1, 2, "same", "valid", (1, 0), (1,)])

    def output_size(self) -> Any:
        return self.choice([1, 2, (2, 3), (None, 2)])

    def image_size(self) -> Any:
        return self.choice([(4, 9), 3, (7, 7), (5,), None])

    def scale(self) -> Any:
        return self.choice([2, 1.5, (2.0, 0.5), None, 0.7])

    def grid(self) -> Any:
        made = carrying.torch.rand(2, 4, 3, 2, dtype=self.first.dtype) * 2.4 - 1.2
        return made.requires_grad_(self.chance(0.4))

    # Attention, linear maps, tables, losses.

    def queries(self) -> Any:
        return self.tensor(FLOATS, (2, self.choice([1, 2]), self.choice([3, 4]), 4))

    def keys(self) -> Any:
        return self._drawn(self._size(0), self._size(1), 5, 4)

    def attention_mask(self) -> Any:
        torch, shape = carrying.torch, (self._size(2), 5)
        return self.choice([None, torch.randint(0, 2, shape).bool(), self._of_first(*shape)])

    def weights(self) -> Any:
        return self._drawn(3, self._size(-1, 1))

    def bias(self) -> Any:
        return self.choice([None, self._drawn(3)])

    def labels(self) -> Any:
        return carrying.torch.randint(0, 6 if self.chance(0.95) else 9, self._shape())

    def table(self) -> Any:
        dtype = self.choice([carrying.torch.float32, carrying.torch.float64])
        return self.filled((6, 3), dtype).requires_grad_(self.chance(0.5))

    def classes(self) -> Any:
        made = carrying.torch.randint(0, max(self._size(1, 1), 1), (self._size(0),))
        if made.numel() and self.chance(0.2):
            made[0] = self.choice([-100, -100, 77])
        return made

    def chances(self) -> Any:
        return carrying.torch.rand(self.first.shape, dtype=self._float_of_first())

    # Matrices.

    def _near_identity(self, dtypes: list) -> Any:
        torch, sizes = carrying.torch, self.choice([(3, 3), (2, 3, 3), (1, 1)])
        return torch.randn(sizes, dtype=self.choice(dtypes)) / 4 + torch.eye(sizes[-1], dtype=torch.float64)

    def square(self) -> Any:
        torch = carrying.torch
        made = self._near_identity([torch.float64, torch.float64, torch.complex128])
        return made.requires_grad_(self.chance(0.4))

    def positive_definite(self) -> Any:
        made = self._near_identity([carrying.torch.float64])
        return (made @ made.mT).requires_grad_(self.chance(0.4))

    # Counting and searching.

    def counts(self) -> Any:
        torch = carrying.torch
        made = torch.randint(0 if self.chance(0.95) else -1, 6, (self.random.randrange(6),))
        return made.to(self.choice([torch.int64, torch.int32, torch.uint8]))

    def edges(self) -> Any:
        torch = carrying.torch
        return torch.sort(torch.randn(5, dtype=self.choice([torch.float32, torch.float64])))[0]

    def fraction(self) -> Any:
        return self.choice([0.5, 0.0, 1.0, 0.3])
