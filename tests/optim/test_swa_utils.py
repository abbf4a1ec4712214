"""Averaged models against means in NumPy, and the schedule that goes with them."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import devtensor as dt
from devtensor import nn, optim
from devtensor.optim import swa_utils
from devtensor.optim.swa_utils import SWALR, AveragedModel, update_bn

EMA = 0.9
AVERAGES = {
    "mean": {},
    "mean of single tensors": {"avg_fn": swa_utils.get_swa_avg_fn()},
    "mean of lists": {"multi_avg_fn": swa_utils.get_swa_multi_avg_fn()},
    "moving": {"avg_fn": swa_utils.get_ema_avg_fn(EMA)},
    "moving in lists": {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(EMA)},
}


def model(device="cpu"):
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).to(device)


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("name", AVERAGES)
def test_averages(device, name, use_buffers):
    source = model(device)
    average = AveragedModel(source, use_buffers=use_buffers, **AVERAGES[name])
    draw = np.random.default_rng(0)
    seen = []
    for _ in range(5):
        with dt.no_grad():
            for p in (*source.parameters(), source[1].running_mean):
                p.copy_(dt.tensor(draw.normal(size=tuple(p.shape)), dtype=dt.float32, device=device))
        seen.append([p.detach().cpu().numpy().copy() for p in (*source.parameters(), source[1].running_mean)])
        average.update_parameters(source)
    assert average.n_averaged.item() == 5
    kept = (*average.module.parameters(), average.module[1].running_mean)
    for place, p in enumerate(kept):
        values = [row[place].astype(float) for row in seen]
        wanted = values[0]
        for value in values[1:]:
            wanted = EMA * wanted + (1 - EMA) * value
        wanted = wanted if "moving" in name else np.mean(values, 0)
        if place == len(kept) - 1 and not use_buffers:
            wanted = values[-1]
        np.testing.assert_allclose(p.detach().cpu().numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_state_is_the_models_with_a_count():
    average = AveragedModel(model())
    names = [f"module.{name}" for name in model().state_dict()]
    assert list(average.state_dict()) == ["n_averaged", *names]
    twin = AveragedModel(model())
    twin.load_state_dict(average.state_dict())
    x = dt.ones(2, 3)
    assert twin.eval()(x).tolist() == average.eval()(x).tolist()
    assert copy.deepcopy(average).eval()(x).tolist() == average(x).tolist()


def test_one_way_to_average():
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
        AveragedModel(model(), avg_fn=max, multi_avg_fn=max)
    with pytest.raises(ValueError, match=r"Invalid decay value 1\.5"):
        swa_utils.get_ema_avg_fn(1.5)


def test_statistics_of_batches():
    layer = nn.BatchNorm1d(2, momentum=0.3).eval()
    batches = [dt.tensor(np.random.default_rng(k).normal(size=(5, 2)), dtype=dt.float32) for k in range(4)]
    update_bn([(batch, "label") for batch in batches], layer)
    means = np.mean([batch.numpy().mean(0) for batch in batches], 0)
    variances = np.mean([batch.numpy().var(0, ddof=1) for batch in batches], 0)
    np.testing.assert_allclose(layer.running_mean.numpy(), means, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.running_var.numpy(), variances, rtol=1e-5)
    assert layer.momentum == 0.3
    assert not layer.training


@pytest.mark.parametrize("strategy", ["linear", "cos"])
def test_schedule_goes_to_its_rate(strategy):
    optimizer = optim.SGD([dt.zeros(1).requires_grad_()], lr=0.1)
    schedule = SWALR(optimizer, 0.02, anneal_epochs=4, anneal_strategy=strategy)
    found = []
    for _ in range(7):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    part = np.minimum(np.arange(7) / 4, 1)
    part = part if strategy == "linear" else (1 - np.cos(np.pi * part)) / 2
    np.testing.assert_allclose(found, 0.1 + (0.02 - 0.1) * part, rtol=1e-12)
    again = SWALR(optimizer, 0.5)
    again.load_state_dict(schedule.state_dict())
    assert (again.anneal_epochs, again.last_epoch) == (4, 7)
    with pytest.raises(ValueError, match="anneal_epochs must be equal or greater than 0"):
        SWALR(optimizer, 0.02, anneal_epochs=-1)
    with pytest.raises(ValueError, match="anneal_strategy must be one of"):
        SWALR(optimizer, 0.02, anneal_strategy="x")
