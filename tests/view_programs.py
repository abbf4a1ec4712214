"""Random programs of views, writes and arithmetic, run step by step by two libraries with PyTorch's names.

A step is a function of the library and of the tensors so far, drawn by looking at the first library's
tensors. After each step everything that can be asked of every tensor must be equal.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

Step = Callable[[Any, list], Any]
SHAPES = ((2, 3), (3, 3), (4,), (2, 2, 3), (1, 3), (2, 1, 2), (4, 4), (), (3, 1), (2, 0))
ERRORS = (NotImplementedError, RuntimeError, IndexError, ValueError, TypeError)


def split(draw: random.Random, count: int) -> tuple[int, ...]:
    """Sizes whose product is `count`, sometimes with a 1 among them."""
    sizes = []
    while count > 1 and len(sizes) < 3:
        sizes.append(draw.choice([k for k in range(1, count + 1) if count % k == 0]))
        count //= sizes[-1]
    sizes.append(count)
    if draw.random() < 0.3:
        sizes.insert(draw.randrange(len(sizes) + 1), 1)
    return tuple(sizes)


def index(draw: random.Random, shape: tuple) -> tuple:
    """Ints, slices, Nones and at most one Ellipsis."""
    found: list[Any] = []
    for size in shape[: draw.randint(0, len(shape))]:
        kind = draw.random()
        if kind < 0.35 and size:
            found.append(draw.randrange(-size, size))
        elif kind < 0.45:
            found.append(None)
        elif kind < 0.5 and Ellipsis not in found:
            found.append(Ellipsis)
        else:
            ends = [draw.choice([None, draw.randint(-size - 1, size + 1)]) for _ in range(2)]
            found.append(slice(*ends, draw.choice([None, 1, 2])))
    return tuple(found)


def dim(draw: random.Random, ndim: int) -> int:
    """A dimension, rarely one that does not exist."""
    span = max(ndim, 1)
    return span + 1 if draw.random() < 0.03 else draw.randrange(-span, span)


def view_step(draw: random.Random, at: int, x: Any) -> tuple[str, Step]:
    """A view op with its arguments."""
    shape, n = tuple(x.shape), x.dim()
    one, other, count = dim(draw, n), dim(draw, n), draw.randint(1, 3)
    far = (count + 1, 1)
    order, sizes, key = draw.sample(range(n), n), split(draw, prod(shape)), index(draw, shape)
    wide = [size if size != 1 or draw.random() < 0.3 else draw.choice([1, 2, 3]) for size in shape]
    steps: dict[str, Callable[[Any], Any]] = {
        f"[{key}]": lambda t: t[key],
        f"view{sizes}": lambda t: t.view(sizes),
        f"reshape{sizes}": lambda t: t.reshape(sizes),
        f"permute{order}": lambda t: t.permute(order),
        f"transpose({one}, {other})": lambda t: t.transpose(one, other),
        f"movedim({one}, {other})": lambda t: t.movedim(one, other),
        f"squeeze({one})": lambda t: t.squeeze(one),
        f"unsqueeze({one})": lambda t: t.unsqueeze(one),
        f"expand({wide})": lambda t: t.expand(wide),
        f"expand(2, {wide})": lambda t: t.expand([2, *wide]),
        f"narrow({one}, 0, {count})": lambda t: t.narrow(one, 0, count),
        f"select({one}, -1)": lambda t: t.select(one, -1),
        f"diagonal({count - 2}, {one}, {other})": lambda t: t.diagonal(count - 2, one, other),
        f"unfold({one}, {count}, {count})": lambda t: t.unfold(one, count, count),
        f"unbind({one})": lambda t: t.unbind(one) if n else None,
        f"split({count}, {one})": lambda t: t.split(count, one),
        f"tensor_split({count}, {one})": lambda t: t.tensor_split(count, one),
        f"as_strided({far})": lambda t: t.as_strided((2, 2), far) if t.numel() else None,
        "flatten": lambda t: t.flatten(), "ravel": lambda t: t.ravel(), "T": lambda t: t.mT,
        "t": lambda t: t.t(), "contiguous": lambda t: t.contiguous(), "detach": lambda t: t.detach(),
        "view_as": lambda t: t.view_as(t), "data": lambda t: t.data,
    }  # fmt: skip
    name = draw.choice(list(steps))
    return f"x{at}.{name}", lambda T, xs: steps[name](xs[at])


def write_step(draw: random.Random, at: int, other: int, x: Any) -> tuple[str, Step]:
    """An in-place op."""
    key, n = index(draw, tuple(x.shape)), x.dim()
    one, two = dim(draw, n), dim(draw, n)
    steps: dict[str, Callable[[Any, Any, Any], Any]] = {
        "add_": lambda T, t, u: t.add_(u),
        "mul_": lambda T, t, u: t.mul_(u),
        "mul_(1.5)": lambda T, t, u: t.mul_(1.5),
        "copy_": lambda T, t, u: t.copy_(u),
        "zero_": lambda T, t, u: t.zero_(),
        "fill_": lambda T, t, u: t.fill_(3),
        "sin_": lambda T, t, u: t.sin_(),
        "sigmoid_": lambda T, t, u: t.sigmoid_(),
        f"{key} = 2.5": lambda T, t, u: t.__setitem__(key, 2.5),
        f"{key} =": lambda T, t, u: t.__setitem__(key, u),
        "[t > 0.5] = 2.5": lambda T, t, u: None if 0 in t.stride() else t.__setitem__(t > 0.5, 2.5),
        "masked_fill_": lambda T, t, u: None if 0 in t.stride() else t.masked_fill_(t > 0.5, -1.0),
        "clamp_": lambda T, t, u: t.clamp_(-1, 1),
        f"transpose_({one}, {two})": lambda T, t, u: t.transpose_(one, two),
        f"unsqueeze_({one})": lambda T, t, u: t.unsqueeze_(one),
        "add(out=)": lambda T, t, u: T.add(u, u, out=t) if t.shape == u.shape else None,
        "mul(out=)": lambda T, t, u: T.mul(t, u, out=t) if t.shape == u.shape else None,
    }
    name = draw.choice(list(steps))
    return f"x{at}.{name} x{other}", lambda T, xs: steps[name](T, xs[at], xs[other])


def pure_step(draw: random.Random, at: int, other: int, x: Any) -> tuple[str, Step]:
    """An op with a fresh result."""
    steps: dict[str, Callable[[Any, Any, Any], Any]] = {
        "clone": lambda T, t, u: t.clone(),
        "mul": lambda T, t, u: t * u,
        "add": lambda T, t, u: t + u,
        "add 1.5": lambda T, t, u: t + 1.5,
        "sin": lambda T, t, u: t.sin(),
        "sum": lambda T, t, u: t.sum(),
        "where": lambda T, t, u: T.where(t > 0, t, u),
        "ones_like": lambda T, t, u: T.ones_like(t),
        "to": lambda T, t, u: t.to(T.float64, copy=True),
    }
    name = draw.choice(list(steps))
    return f"{name}(x{at}, x{other})", lambda T, xs: steps[name](T, xs[at], xs[other])


def draw_step(draw: random.Random, xs: list) -> tuple[str, Step]:
    """Any step; pairs of tensors have the same shape more often than not."""
    at = draw.randrange(len(xs))
    alike = [k for k, x in enumerate(xs) if x.shape == xs[at].shape]
    other = draw.choice(alike) if draw.random() < 0.5 else draw.randrange(len(xs))
    kind = draw.random()
    if kind < 0.42:
        return view_step(draw, at, xs[at])
    return (pure_step if kind < 0.62 else write_step)(draw, at, other, xs[at])


def attempt(action: Callable[[], Any]) -> tuple[Any, str]:
    """What an action gave, and the kind of error that it raised."""
    try:
        return action(), ""
    except ERRORS as error:
        return None, next(kind.__name__ for kind in ERRORS if isinstance(error, kind))


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "shape": lambda x: tuple(x.shape),
    "dtype": lambda x: str(x.dtype).split(".")[-1],
    "requires_grad": lambda x: x.requires_grad,
    "is_leaf": lambda x: x.is_leaf,
    "grad_fn": lambda x: x.grad_fn is None,
    "_version": lambda x: x._version,
    "_base": lambda x: x._base is None,
    "is_contiguous": lambda x: x.is_contiguous(),
    "strides": lambda x: [s for s, n in zip(x.stride(), x.shape, strict=True) if n > 1] if x.numel() else [],
    "offset": lambda x: x.storage_offset() if x.numel() else 0,
}


def told(xs: list) -> list[dict[str, Any]]:
    """The answers of every tensor, and with which of the others it shares memory."""
    found = []
    for x in xs:
        answers: dict[str, Any] = {
            name: attempt(lambda ask=ask, x=x: ask(x)) for name, ask in QUESTIONS.items()
        }
        answers["numbers"] = np.array(x.detach().tolist(), np.float64)
        answers["shares"] = [x.numel() > 0 and y.numel() > 0 and together(x, y) for y in xs]
        found.append(answers)
    return found


def together(x: Any, y: Any) -> bool:
    return x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr()


class Program:
    """One random program, run by two libraries side by side."""

    def __init__(self, seed: int, first: Any, second: Any) -> None:
        self.draw = random.Random(seed)
        self.libraries = (first, second)
        self.tensors: tuple[list, list] = ([], [])
        self.log: list[str] = []
        numbers = np.random.default_rng(seed)
        for _ in range(self.draw.randint(1, 3)):
            shape, wanted = self.draw.choice(SHAPES), self.draw.random() < 0.5
            values = numbers.normal(size=shape).round(2).tolist()
            self.log.append(f"x{len(self.tensors[0])} = tensor{shape}, requires_grad={wanted}")
            for T, xs in zip(self.libraries, self.tensors, strict=True):
                xs.append(T.tensor(values, dtype=T.float64).reshape(shape).clone().requires_grad_(wanted))

    def run(self, steps: int) -> None:
        """Draw and run steps, comparing after each; then backward, comparing gradients."""
        for _ in range(steps):
            if len(self.tensors[0]) > 8:
                break
            label, step = draw_step(self.draw, self.tensors[0])
            self.log.append(label)
            self.add([self.outcome(step, side) for side in (0, 1)])
            self.compare()
        self.finish()

    def outcome(self, step: Step, side: int) -> tuple[Any, str]:
        """What a step gives in one of the libraries."""
        return attempt(lambda: step(self.libraries[side], self.tensors[side]))

    def add(self, outcomes: list[tuple[Any, str]]) -> None:
        """Take in the results of a step."""
        (one, failed), (other, also) = outcomes
        assert failed == also, f"{self}\n{failed or 'no error'}; ours {also or 'no error'}"
        parts = zip(*[r if isinstance(r, (tuple, list)) else (r,) for r in (one, other)], strict=True)
        for result, ours in list(parts)[:3]:
            if result is None:
                continue
            known = [k for k, x in enumerate(self.tensors[0]) if x is result]
            assert any(self.tensors[1][k] is ours for k in known) == bool(known), f"{self}\nanother object"
            if not known:
                self.tensors[0].append(result)
                self.tensors[1].append(ours)

    def compare(self) -> None:
        """Everything that can be asked must be answered alike."""
        for number, (wanted, found) in enumerate(zip(*map(told, self.tensors), strict=True)):
            for name in wanted:
                if name == "numbers":
                    np.testing.assert_allclose(
                        found[name], wanted[name], 1e-4, 1e-5, err_msg=f"{self}\nx{number}"
                    )
                    continue
                assert wanted[name] == found[name], (
                    f"{self}\n{name} of x{number}: {wanted[name]}; ours {found[name]}"
                )

    def finish(self) -> None:
        """Gradients of a sum of squares of everything that has history."""
        leaves = [attempt(lambda x=x: x.is_leaf)[0] is not False for x in self.tensors[0]]
        roots = [k for k, x in enumerate(self.tensors[0]) if x.requires_grad and not leaves[k]]
        if not roots:
            return
        self.log.append(f"backward from {roots}")
        outcomes = []
        for xs in self.tensors:
            total = sum(((xs[k] * (k + 1.0)) ** 2).sum() for k in roots)
            outcomes.append(attempt(total.backward)[1])
        assert outcomes[0] == outcomes[1], (
            f"{self}\n{outcomes[0] or 'no error'}; ours {outcomes[1] or 'no error'}"
        )
        for number, (wanted, found) in enumerate(zip(*self.tensors, strict=True)):
            if outcomes[0] or not (leaves[number] and wanted.requires_grad):
                continue
            gradients = [None if x.grad is None else np.array(x.grad.tolist()) for x in (wanted, found)]
            assert (gradients[0] is None) == (gradients[1] is None), f"{self}\ngradient of x{number}"
            if gradients[0] is not None:
                np.testing.assert_allclose(
                    gradients[1], gradients[0], 1e-3, 1e-3, err_msg=f"{self}\nx{number}"
                )

    def __str__(self) -> str:
        return "\n".join(self.log)
