"""Whole training steps: a captured step's replay equals the eager step bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor as torch
from devtensor import nn
from devtensor.core.errors import TraceError
from devtensor.graph import capture, check

STEPS = 9


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 4))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 3, 4)) if hasattr(nn, "Unflatten") else Image(),
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2, stride=1),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Linear(4 * 2 * 3, 4),
    )


class Image(nn.Module):
    """Rows of 12 numbers as 3x4 images."""

    def forward(self, x):
        return x.reshape(-1, 1, 3, 4)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=1e-3),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01, betas=(0.8, 0.9)),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05, lr_decay=0.1),
    "adadelta": lambda p: torch.optim.Adadelta(p, weight_decay=1e-3),
    "rmsprop": lambda p: torch.optim.RMSprop(p, momentum=0.5, centered=True),
    "rprop": lambda p: torch.optim.Rprop(p),
    "asgd": lambda p: torch.optim.ASGD(p, t0=2),
    "adafactor": lambda p: torch.optim.Adafactor(p),
}


class Training:
    """A model, its optimizer, a scaler, and one step over them."""

    def __init__(self, model, optimizer, amp, device):
        torch.manual_seed(3)
        self.device = torch.device(device)
        self.model = model().to(device)
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.device_type = self.device.type
        self.amp = amp
        self.scaler = torch.amp.GradScaler(
            self.device_type, init_scale=2.0**10, growth_interval=3, enabled=amp
        )
        self.random = torch.random.get_rng_state(self.device)

    def step(self, x, y):
        self.optimizer.zero_grad()
        with torch.autocast(self.device_type, dtype=torch.float16, enabled=self.amp):
            loss = nn.functional.cross_entropy(self.model(x), y)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss

    def state(self):
        """Everything that must be equal, as bytes, and the version of every tensor that persists."""
        tensors = dict(self.model.state_dict())
        tensors |= {f"grad {n}": p.grad for n, p in self.model.named_parameters() if p.grad is not None}
        for number, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"{number}.{name}": v for name, v in slots.items() if isinstance(v, torch.Tensor)}
        scaler = {k: v for k, v in self.scaler.state_dict().items()}
        versions = {n: t._version for n, t in (*self.model.named_parameters(), *self.model.named_buffers())}
        return {n: t.detach().cpu().numpy().tobytes() for n, t in tensors.items()}, scaler, versions

    def as_if_alone(self, function, *args):
        """Run with this training's own random state, so that two of them draw the same numbers."""
        torch.random.set_rng_state(self.random, self.device)
        result = function(*args)
        self.random = torch.random.get_rng_state(self.device)
        return result


def batches(device, overflow):
    """Batches of which one makes float16 gradients infinite."""
    rng = np.random.default_rng(0)
    for number in range(STEPS):
        x = rng.normal(size=(6, 12)).astype(np.float32)
        if overflow and number == 6:
            x *= 3e4
        yield number, torch.tensor(x, device=device), torch.tensor(rng.integers(0, 4, 6), device=device)


@pytest.fixture
def by_bodies(device, monkeypatch):
    """Ops over lists run op by op, as in a replay: a kernel for all tensors rounds at other places."""
    backend = torch.device(device).backend
    if hasattr(backend, "list_kernels"):
        monkeypatch.setattr(backend, "list_kernels", {})


@pytest.mark.parametrize("amp", [False, True], ids=["float32", "amp"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", [mlp, cnn], ids=["mlp", "cnn"])
def test_replay_equals_eager(model, optimizer, amp, device, by_bodies):
    eager, captured = Training(model, optimizer, amp, device), Training(model, optimizer, amp, device)
    step = capture(captured.step)
    skipped = 0
    for number, x, y in batches(device, amp):
        if number == 5:
            for training in (eager, captured):
                training.optimizer.param_groups[0]["lr"] *= 0.5
        before = eager.scaler.get_scale()
        expected = eager.as_if_alone(eager.step, x, y)
        mixed_in = number == 7
        loss = captured.as_if_alone(captured.step if mixed_in else step, x, y)
        skipped += amp and eager.scaler.get_scale() < before
        assert loss.detach().cpu().numpy().tobytes() == expected.detach().cpu().numpy().tobytes(), number
        for got, want in zip(captured.state(), eager.state(), strict=True):
            assert got == want, (number, [k for k in want if got.get(k) != want[k]])
        assert np.array_equal(eager.random.numpy(), captured.random.numpy()), number
    assert step.replays >= STEPS - 6
    assert skipped == (1 if amp else 0)
    check(step.graph)
    assert "write" in str(step.graph)


def test_input_views_and_aliased_arguments():
    base = torch.arange(12, dtype=torch.float32).reshape(4, 3)

    def shift(row, whole):
        row.add_(1)
        return whole.sum() + row[0]

    step = capture(shift)
    for _ in range(4):
        expected = base.clone()
        expected[1] += 1
        total = step(base[1], base)
        assert base.tolist() == expected.tolist()
        assert total.item() == expected.sum().item() + expected[1, 0].item()
    assert step.replays == 2


def test_batches_that_are_views_share_one_graph():
    data = torch.arange(24, dtype=torch.float32).reshape(8, 3)
    step = capture(lambda x: (x * 2).sum(0))
    for start in (0, 2, 4, 6):
        part = data[start : start + 2]
        assert step(part).tolist() == (part * 2).sum(0).tolist()
    assert step.replays == 2


def test_returned_tensors_alias_as_in_eager():
    state = torch.zeros(3)

    def advance(x):
        state.add_(x)
        doubled = state * 2
        return state, state[1:], doubled, doubled[0], x

    step = capture(advance)
    for _ in range(4):
        x = torch.ones(3)
        whole, tail, doubled, first, same = step(x)
        assert same is x
        state[2] = 50.0
        assert tail[1].item() == 50.0 and whole[2].item() == 50.0
        doubled[0] = -1.0
        assert first.item() == -1.0
    assert step.replays == 2


def test_gradients_accumulate_across_replays():
    w = torch.ones(3, requires_grad=True)

    def accumulate(x):
        (w * x).sum().backward()

    step = capture(accumulate)
    for number in range(1, 6):
        step(torch.ones(3))
        assert w.grad.tolist() == [float(number)] * 3
    w.grad = None
    step(torch.ones(3))
    assert w.grad.tolist() == [1.0] * 3
    assert step.replays >= 1


def test_a_changed_flag_is_learnt_anew():
    model = mlp()
    step = capture(torch.no_grad(model))
    x = torch.ones(2, 12)
    for _ in range(3):
        step(x)
    assert step.replays == 1
    model.eval()
    assert step(x).tolist() == model(x).tolist()
    assert step.replays == 1


def test_a_rebound_parameter_is_learnt_anew():
    layer = nn.Linear(3, 2)
    step = capture(torch.no_grad(layer.forward))
    x = torch.ones(1, 3)
    for _ in range(3):
        step(x)
    layer.weight = nn.Parameter(torch.zeros(2, 3))
    assert step(x).tolist() == [layer.bias.tolist()]


def test_loaded_weights_are_seen_by_the_graph():
    layer = nn.Linear(3, 2)
    step = capture(torch.no_grad(layer.forward))
    x = torch.ones(1, 3)
    for _ in range(3):
        step(x)
    layer.load_state_dict({"weight": torch.zeros(2, 3), "bias": torch.ones(2)})
    assert step(x).tolist() == [[1.0, 1.0]]
    assert step.replays == 2


def test_a_result_with_history_is_refused():
    layer = nn.Linear(3, 2)
    step = capture(layer)
    with pytest.raises(TraceError, match=r"linear has history.*detach"):
        step(torch.ones(1, 3))


def test_a_python_number_that_changes_is_refused_with_its_line():
    counter = iter(range(100))

    @capture
    def step(x):
        return x * next(counter)

    with pytest.raises(TraceError, match=r"mul.*\n.*mul.*\n.*test_capture"):
        for _ in range(9):
            step(torch.ones(2))


def test_a_tensor_left_behind_is_refused_with_its_line():
    kept = []

    @capture
    def step(x):
        kept[:] = [x + 1]
        return x * 2

    with pytest.raises(TraceError, match=r"leaves tensors alive(.|\n)*test_capture"):
        for _ in range(9):
            step(torch.ones(2))


def test_an_exception_in_the_function_leaves_eager_state():
    w = torch.ones(2)

    @capture
    def step(x, fail):
        w.add_(x)
        if fail:
            raise KeyError("user")
        return w * 1

    with pytest.raises(KeyError):
        step(torch.ones(2), True)
    assert w.tolist() == [2.0, 2.0]
    assert step(torch.ones(2), False).tolist() == [3.0, 3.0]
