"""Whole programs on the device: the examples, several devices, and what may not be mixed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import devtensor as torch
from devtensor.core.errors import DeviceError

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = {
    "train": ["--epochs", "1", "--model", "cnn", "--amp", "bfloat16", "--out", "{out}"],
    "vae": ["--epochs", "1", "--width", "4", "--out", "{out}"],
    "char_gpt": [
        "--steps", "2", "--every", "1", "--width", "32", "--layers", "1", "--heads", "2", "--context", "16",
        "--batch-size", "4", "--write", "5", "--amp", "float16", "--out", "{out}",
    ],
    "lstm_series": ["--epochs", "1", "--hidden", "4", "--length", "400", "--ahead", "5"],
    "finetune": ["--epochs", "1"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "place"), [*((name, "cuda") for name in EXAMPLES), ("vae", "cuda:1")])
def test_the_examples_run(name, place, tmp_path):
    options = [option.format(out=tmp_path) for option in EXAMPLES[name]]
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), "--device", place, *options]
    # Without a compiler the work is done op by op: kernels built for the host take minutes for an example.
    paths = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PATH": os.devnull}
    done = subprocess.run(command, capture_output=True, text=True, env=paths, timeout=200, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


def trained(device: str, steps: int = 3) -> list[float]:
    """The losses of a small network's first steps."""
    torch.manual_seed(0)
    with torch.cuda.device(1):
        model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten())
        model.append(torch.nn.Linear(2 * 36, 3))
        model = model.to(device)
        x, y = torch.randn(4, 1, 8, 8).to(device), torch.tensor([0, 2, 1, 0]).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert all(p.grad.device == p.device == x.device for p in model.parameters())
    return losses


def test_every_device_learns_the_same():
    wanted = trained("cpu")
    for device in ("cuda:0", "cuda:1", "cuda"):
        assert trained(device) == pytest.approx(wanted, rel=1e-4)
    assert wanted[-1] < wanted[0]


def test_a_model_over_two_devices():
    torch.manual_seed(0)
    first, last = torch.nn.Linear(4, 8).to("cuda:0"), torch.nn.Linear(8, 2).to("cuda:1")
    x = torch.randn(3, 4)
    loss = last(first(x.to("cuda:0")).relu().to("cuda:1")).square().mean()
    loss.backward()
    assert first.weight.grad.device.index == 0 and last.weight.grad.device.index == 1
    here, there = torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)
    here.load_state_dict({k: v.cpu() for k, v in first.state_dict().items()})
    there.load_state_dict({k: v.cpu() for k, v in last.state_dict().items()})
    there(here(x).relu()).square().mean().backward()
    torch.testing.assert_close(first.weight.grad.cpu(), here.weight.grad)


def test_the_current_device_is_where_bare_cuda_lies():
    torch.cuda.set_device(1)
    assert torch.ones(2, device="cuda").device.index == torch.nn.Linear(2, 2).cuda().weight.device.index == 1
    with torch.cuda.device(0):
        assert torch.zeros(2).cuda().device.index == 0 and torch.accelerator.current_device_index() == 0
    with torch.accelerator.device_index(0):
        assert torch.cuda.current_device() == 0
    assert torch.cuda.current_device() == 1
    torch.cuda.set_device(0)


MIXED = {
    "add": lambda x, other: x + other,
    "matmul": lambda x, other: x @ other,
    "where": lambda x, other: torch.where(x > 0, x, other),
    "cat": lambda x, other: torch.cat([x, other]),
    "linear": lambda x, other: torch.nn.functional.linear(x, other),
    "add_": lambda x, other: x.add_(other),
    "mse_loss": lambda x, other: torch.nn.functional.mse_loss(x, other),
    "embedding": lambda x, other: torch.nn.functional.embedding(other.long(), x),
    "index_select": lambda x, other: x.index_select(0, other.long()[0]),
    "cross_entropy": lambda x, other: torch.nn.functional.cross_entropy(x, other.long()[0]),
    "gather": lambda x, other: x.gather(0, other.long()),
    "scatter": lambda x, other: x.scatter(0, other.long(), x),
    "masked_fill": lambda x, other: x.masked_fill(other.bool(), 0.0),
    "convolution": lambda x, other: torch.nn.functional.conv2d(x[None, None], other[None, None]),
}


@pytest.mark.parametrize("home", ["cpu", "cuda:1"])
@pytest.mark.parametrize("op", MIXED)
def test_mixing_is_refused_by_the_op_s_name(op, home):
    x, other = torch.ones(2, 2, device="cuda:0"), torch.ones(2, 2, device=home)
    with pytest.raises(DeviceError, match=r"^\[\w+\].*cuda:0") as told:
        MIXED[op](x, other)
    assert isinstance(told.value, RuntimeError) and home in str(told.value)


def test_numbers_and_indices_of_the_cpu_may_be_mixed():
    x = torch.arange(4.0, device="cuda").reshape(2, 2)
    number, index, mask = torch.tensor(2.0), torch.tensor([1]), torch.tensor([True, False])
    assert (number * x).device == x.device and torch.where(x > 1, x, number).tolist() == [[2, 2], [2, 3]]
    assert x[index].tolist() == x[~mask].tolist() == [[2, 3]]
    x[index] = number
    assert x.tolist() == [[0, 1], [2, 2]]
    assert x.add(1, alpha=2).device == x.device and x.clamp(min=number).min().item() == 2
