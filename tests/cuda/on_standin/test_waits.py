"""With `set_sync_debug_mode` every wait of the host is told of, and nothing else is."""

from __future__ import annotations

import warnings

import pytest

import devtensor as torch
from devtensor.core.errors import ArgumentError

WAITS = {
    "a number": lambda x: x.sum().item(),
    "numbers": lambda x: x.tolist(),
    "a truth": lambda x: bool(x[0] > 0),
    "a copy to the host": lambda x: x.cpu(),
    "a copy from the host": lambda x: torch.ones(3).to("cuda"),
    "a new tensor": lambda x: torch.tensor([1.0, 2.0], device="cuda"),
    "places": lambda x: x.nonzero(),
    "a mask": lambda x: x[x > 1],
    "different numbers": lambda x: x.unique(),
    "a stream": lambda x: torch.cuda.Stream().synchronize(),
    "a text": lambda x: repr(x),
    "an array": lambda x: x.cpu().numpy(),
}
NO_WAITS = {
    "an op": lambda x: (x * 2 + 1).sum(),
    "a creation": lambda x: torch.zeros(3, device="cuda"),
    "random numbers": lambda x: torch.rand(3, device="cuda"),
    "a view": lambda x: x[1:],
    "a choice": lambda x: torch.where(x > 1, x, -x),
    "a number written": lambda x: x.fill_(3.0),
    "a pinned copy": lambda x: torch.ones(3).pin_memory().to("cuda", non_blocking=True),
    "a pinned copy to the host": lambda x: x.to("cpu", non_blocking=True),
    "a device": lambda x: torch.cuda.synchronize(),
    "an event": lambda x: torch.cuda.current_stream().record_event().synchronize(),
}


@pytest.fixture(autouse=True)
def quiet():
    yield
    torch.cuda.set_sync_debug_mode(0)


@pytest.mark.parametrize("what", WAITS)
def test_what_waits_is_told(what):
    x = torch.arange(4.0, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    with pytest.raises(RuntimeError, match=rf"called a synchronizing CUDA operation.*{__file__}"):
        WAITS[what](x)
    torch.cuda.set_sync_debug_mode("warn")
    assert torch.cuda.get_sync_debug_mode() == 1
    with pytest.warns(UserWarning, match="called a synchronizing CUDA operation"):
        WAITS[what](x)
    torch.cuda.set_sync_debug_mode("default")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WAITS[what](x)


@pytest.mark.parametrize("what", NO_WAITS)
def test_what_does_not_wait_is_silent(what, counts):
    x = torch.rand(4, device="cuda")
    torch.cuda.set_sync_debug_mode(2)
    counts.clear()
    NO_WAITS[what](x)
    allowed = 1 if what in ("a device", "an event") else 0
    assert counts["synchronisations"] == allowed


@pytest.mark.parametrize("mode", [3, "loud", None, 1.5])
def test_other_modes_are_refused(mode):
    with pytest.raises(ArgumentError, match="debug_mode"):
        torch.cuda.set_sync_debug_mode(mode)


def test_a_training_step_waits_for_nothing():
    model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cuda")
    x, y = torch.randn(5, 8, device="cuda"), torch.randint(2, (5,), device="cuda")

    def step():
        optimizer.zero_grad()
        with torch.autocast("cuda"):
            loss = torch.nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()

    step()
    torch.cuda.set_sync_debug_mode("error")
    step()
