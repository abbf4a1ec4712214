"""The tensors among the arguments: values, layouts, and those that fit the first one."""

from __future__ import annotations

from typing import Any

from opinfo import carrying
from opinfo.fuzz.kinds import FLOATS, INFINITE, INTEGERS, KINDS, Drawn


class DrawnTensors(Drawn):
    """Drawn, with the kinds that are tensors."""

    def filled(self, shape: tuple, dtype: Any) -> Any:
        """Numbers of a dtype: rarely whole, infinite or NaN."""
        torch = carrying.torch
        if dtype == torch.bool:
            return torch.randint(0, 2, shape).bool()
        if dtype.is_complex:
            return torch.randn(shape, dtype=dtype)
        if not dtype.is_floating_point:
            return torch.randint(0 if dtype == torch.uint8 else -4, 6, shape).to(dtype)
        made = torch.randn(shape, dtype=torch.float64) * self.choice([0.5, 1, 1, 3])
        if made.numel() and self.chance(0.05):
            made.view(-1)[self.random.randrange(made.numel())] = self.choice(INFINITE)
        return (made.round() if self.chance(0.1) else made).to(dtype)

    def tensor(self, names: list[str], shape: tuple | None = None, fewest: int = 0, most: int = 4) -> Any:
        """A tensor in one of many layouts, which may want a gradient."""
        dtype = getattr(carrying.torch, self.choice(names))
        shape = self._shape(fewest, most) if shape is None else shape
        made = self._laid_out(shape, dtype)
        wanted = dtype.is_floating_point and self.chance(0.4)
        return made.detach().requires_grad_() if wanted else made

    def _laid_out(self, shape: tuple, dtype: Any) -> Any:
        count, which = len(shape), self.random.random()
        if which < 0.12 and count >= 2:
            order = self.random.sample(range(count), count)
            back = [order.index(dim) for dim in range(count)]
            return self.filled(tuple(shape[dim] for dim in order), dtype).permute(back)
        if which < 0.2 and count:
            return self.filled((*shape[:-1], shape[-1] * 2), dtype)[..., ::2]
        if which < 0.24 and count:
            return self.filled((1, *shape[1:]), dtype).expand(shape)
        return self.filled(shape, dtype)

    def any(self) -> Any:
        return self.tensor(KINDS)

    def floats(self) -> Any:
        return self.tensor(FLOATS if self.chance(0.9) else INTEGERS)

    def complex(self) -> Any:
        return self.tensor(["complex64", "complex128", *FLOATS[:6]])

    def bits(self) -> Any:
        return self.tensor([*INTEGERS, "bool", "bool"])

    def mask(self) -> Any:
        shape = self._shape() if self.first is None else self.fitting()
        return self.tensor(["bool"], shape)

    def vector(self) -> Any:
        return self.tensor(KINDS, fewest=1)

    def matrix(self) -> Any:
        return self.tensor(FLOATS + INTEGERS[:2], fewest=2, most=2)

    def line(self) -> Any:
        return self.tensor(FLOATS + INTEGERS[:2], fewest=1, most=1)

    def batch(self) -> Any:
        return self.tensor(FLOATS, fewest=3, most=3)

    def distinct(self) -> Any:
        torch, shape = carrying.torch, self._shape()
        return torch.randperm(torch.Size(shape).numel()).reshape(shape).to(self.dtype())

    def sequence(self) -> Any:
        found = [self.any()]
        shape = found[0].shape
        for _ in range(self.random.randrange(3)):
            if self.chance(0.5):
                found.append(self.tensor(KINDS, tuple(shape)))
            else:
                found.append(self.filled(tuple(shape), found[0].dtype))
        self.first = found[0]
        return self.choice([tuple, list])(found)

    # Tensors that fit the first.

    def fitting(self) -> tuple[int, ...]:
        """A shape that broadcasts with the first tensor's, as a rule."""
        sizes = list(self.first.shape)
        if sizes and self.chance(0.3):
            sizes = sizes[self.random.randrange(len(sizes)) :]
        sizes = [1 if self.chance(0.2) else size for size in sizes]
        if sizes and self.chance(0.04):
            sizes[-1] += 1
        return () if self.chance(0.08) else tuple(sizes)

    def same(self) -> Any:
        shape = self._shape() if self.first is None else self.fitting()
        return self.tensor(self.choice([FLOATS, FLOATS, INTEGERS, KINDS]), shape)

    def operand(self) -> Any:
        return self.same() if self.chance(0.6) else self.number()

    def like(self) -> Any:
        made = self.filled(tuple(self.first.shape), self.first.dtype)
        return made.requires_grad_() if made.is_floating_point() and self.chance(0.4) else made

    def value(self) -> Any:
        if self.chance(0.6):
            return self.number()
        return self.filled(self.choice([(), (1,)]), self.choice([self.first.dtype, carrying.torch.float32]))

    def _of_first(self, *shape: int) -> Any:
        return self.filled(shape, self.first.dtype)

    def _size(self, dim: int, usual: int = 2) -> int:
        count = self.first.ndim
        return self.first.shape[dim] if -count <= dim < count else usual

    def factor(self) -> Any:
        inner = self._size(-1)
        shapes = [(inner,), (inner, 3), (2, inner, 2), (*self.first.shape[:-2], inner, 4), (inner + 1,)]
        return self._of_first(*self.choice(shapes))

    def factor2(self) -> Any:
        return self._of_first(self._size(-1) + self.chance(0.05), self.choice([1, 2, 4]))

    def factor3(self) -> Any:
        return self._of_first(self._size(0), self._size(-1), 3)

    # Places.

    def index(self) -> Any:
        size = self._size(self.last, 1)
        places = carrying.torch.randint(0, max(size, 1), (self.random.randrange(5) if size else 0,))
        if places.numel() and self.chance(0.05):
            places[0] = size + 2
        self.at = places.int() if self.chance(0.15) else places
        return self.at

    def rows(self) -> Any:
        sizes = list(self.first.shape)
        if -len(sizes) <= self.last < len(sizes):
            sizes[self.last] = self.at.numel()
        return self._of_first(*sizes)

    def places(self) -> Any:
        torch, count = carrying.torch, self.first.ndim
        dim = self.last % count if count and -count <= self.last < count else 0
        sizes = [self.random.randrange(1, size + 1) if size else 0 for size in self.first.shape]
        if count:
            sizes[dim] = self.random.randrange(5) if self.first.shape[dim] else 0
        self.at = torch.randint(0, max(self._size(dim, 1), 1), sizes)
        if self.at.numel() and self.chance(0.05):
            self.at.view(-1)[0] = self.choice([-1, 9])
        return self.at

    def source(self) -> Any:
        if self.chance(0.1):
            return self.number()
        made = self._of_first(*self.at.shape)
        return made.requires_grad_() if made.is_floating_point() and self.chance(0.4) else made

    def flat_places(self) -> Any:
        size = max(self.first.numel(), 1)
        return carrying.torch.randint(-size, size, self._shape())
