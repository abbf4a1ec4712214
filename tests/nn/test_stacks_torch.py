"""Random stacks of layers, trained by PyTorch and by devtensor side by side (--oracle torch)."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

import devtensor
from drawn_stacks import Stack, drawn

STEPS = 4
NOISE = 1e-12
SEEDS = range(60)


def wrappers(nn: Any) -> dict[str, Any]:
    """Modules that make layers with several inputs or results fit into a stack."""

    class Wrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

    class First(Wrapper):
        def forward(self, x):
            return self.inner(x)[0]

    class Attend(Wrapper):
        def forward(self, x):
            return self.inner(x, x, x)[0]

    class Doubled(Wrapper):
        def forward(self, x):
            return self.inner(x, x * 0.5)

    class Residual(Wrapper):
        def forward(self, x):
            return x + self.inner(x)

    class Column(Wrapper):
        def forward(self, x):
            return self.inner(x, self.inner(x)).unsqueeze(-1)

    return {c.__name__: c for c in (First, Attend, Doubled, Residual, Column)}


def built(library: Any, text: str) -> Any:
    return eval(text, {"nn": library.nn, **wrappers(library.nn)}).double()


def given(library: Any, shape: tuple[int, ...], labels: bool, seed: int) -> Any:
    draw = np.random.default_rng(seed)
    made = draw.integers(0, 7, size=shape) if labels else draw.normal(size=shape)
    return library.from_numpy(made)


def shapes_of(torch: Any):
    """Runs layers in PyTorch: the shape of the result, or None where it is refused or does not fit."""

    def run(layers: list[str], shape: tuple[int, ...], labels: bool) -> tuple[int, ...] | None:
        try:
            out = built(torch, f"nn.Sequential({','.join(layers)})")(given(torch, shape, labels, 0))
        except (RuntimeError, ValueError, IndexError, AssertionError, TypeError):
            return None
        fits = 2 <= out.dim() <= 5 and 4 <= out.numel() <= 3000 and out.dtype == torch.float64
        return tuple(out.shape) if fits and bool(torch.isfinite(out).all()) else None

    return run


class Training:
    """One library's way through a stack: what it is, what it gives, what training makes of it."""

    def __init__(self, library: Any, stack: Stack) -> None:
        self.library, self.stack = library, stack
        self.model = built(library, stack.text())

    def input(self, seed: int) -> Any:
        return given(self.library, self.stack.shape, self.stack.labels, seed)

    def start(self) -> None:
        """The optimizer and its schedule, after lazy layers have met their input."""
        optim = self.library.optim
        self.params = list(self.model.parameters()) or [self.library.zeros(1).double().requires_grad_()]
        self.optimizer = eval(f"optim.{self.stack.optimizer}", {"optim": optim, "ps": self.params})
        names = {**vars(optim.lr_scheduler), "o": self.optimizer}
        self.schedule = eval(f"{self.stack.schedule}", names)

    def closure(self, x: Any) -> Any:
        self.optimizer.zero_grad()
        self.out = self.model(x)
        loss = ((self.out - 0.3) ** 2).mean() + self.out.cos().sum() * 0.1 + (self.params[0] ** 2).sum() * 0
        loss.backward()
        for param in self.params:
            # What is nothing but rounding would be enlarged by optimizers that divide by its size.
            if param.grad is not None:
                param.grad.masked_fill_(param.grad.abs() < NOISE, 0.0)
        return loss

    def step(self, seed: int) -> dict[str, Any]:
        x = self.input(seed)
        x = x if self.stack.labels else x.requires_grad_()
        loss = self.optimizer.step(lambda: self.closure(x))
        self.schedule.step()
        grads = {f"gradient of {n}": p.grad for n, p in self.model.named_parameters()}
        return {
            "output": self.out,
            "loss": loss,
            "gradient of x": None if self.stack.labels else x.grad,
            "rate": self.library.tensor(self.schedule.get_last_lr(), dtype=self.library.float64),
            **grads,
            **self.model.state_dict(),
        }


def attempt(training: Training, step: int) -> Any:
    """What a step gives, or that it writes over what backward needs."""
    try:
        return training.step(step)
    except RuntimeError as error:
        if "modified by an inplace" in str(error) or "in-place operation" in str(error):
            return error
        raise


def carried(source: Any, target: Any, state: Any) -> Any:
    file = io.BytesIO()
    source.save(state, file)
    file.seek(0)
    return target.load(file, weights_only=True)


def check(found: dict[str, Any], wanted: dict[str, Any], what: str, tolerance: float = 1e-7) -> None:
    assert list(found) == list(wanted)
    for name, theirs in wanted.items():
        ours = found[name]
        if theirs is None or ours is None:
            assert ours is theirs, f"{what}, {name}: {theirs}, ours {ours}"
            continue
        assert tuple(ours.shape) == tuple(theirs.shape), f"{what}, {name}"
        a, b = ours.detach().numpy(), theirs.detach().numpy()
        np.testing.assert_allclose(a, b, tolerance, tolerance, err_msg=f"{what}, {name}")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.filterwarnings("ignore")
def test_stack(seed, torch):
    torch.manual_seed(seed)
    stack = drawn(seed, shapes_of(torch))
    print(stack)
    theirs, ours = Training(torch, stack), Training(devtensor, stack)
    assert repr(ours.model) == repr(theirs.model)
    for each in (theirs, ours):
        each.model(each.input(1))
    assert repr(ours.model) == repr(theirs.model)
    state = carried(torch, devtensor, theirs.model.state_dict())
    assert str(ours.model.load_state_dict(state)) == "<All keys matched successfully>"
    theirs.start()
    ours.start()
    for step in range(STEPS):
        wanted, found = attempt(theirs, step), attempt(ours, step)
        if isinstance(wanted, Exception):
            assert isinstance(found, RuntimeError), wanted
            return
        check(found, wanted, f"step {step}")
    back = carried(devtensor, torch, ours.model.state_dict())
    check(back, dict(theirs.model.state_dict()), "state")
    for each in (theirs, ours):
        each.model.eval()
    check({"output": ours.model(ours.input(9))}, {"output": theirs.model(theirs.input(9))}, "evaluation")
