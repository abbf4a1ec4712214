"""Small models learn: the whole way from layers to losses."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor
from devtensor import nn


def train(model: nn.Module, x: np.ndarray, y: np.ndarray, device: str, steps: int, lr: float) -> list[float]:
    inputs, targets = devtensor.tensor(x, device=device), devtensor.tensor(y, device=device)
    criterion, losses = nn.CrossEntropyLoss(), []
    for _ in range(steps):
        loss = criterion(model(inputs), targets)
        model.zero_grad()
        loss.backward()
        with devtensor.no_grad():
            for param in model.parameters():
                param -= lr * param.grad
        losses.append(loss.item())
    return losses


def stripes(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images with horizontal (0), vertical (1) or no (2) stripes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, samples)
    wave = np.array([1.0, -1.0] * 4)
    patterns = [np.tile(wave[:, None], (1, 8)), np.tile(wave, (8, 1)), np.zeros((8, 8))]
    images = np.stack([patterns[k] for k in labels]) + rng.normal(size=(samples, 8, 8)) * 0.5
    return images[:, None].astype(np.float32), labels


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_models_learn(kind, device):
    devtensor.manual_seed(0)
    x, y = stripes(64)
    if kind == "mlp":
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 3))
    else:
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1),
            nn.Flatten(), nn.Linear(64, 3),
        )  # fmt: skip
    losses = train(model.to(device), x, y, device, 30, 0.2)
    assert 0.9 < losses[0] < 1.6 and losses[-1] < 0.15
    model.eval()
    with devtensor.no_grad():
        found = np.array(model(devtensor.tensor(x, device=device)).tolist()).argmax(1)
    assert (found == y).mean() > 0.95


def test_the_same_seed_trains_the_same_model():
    x, y = stripes(16)
    runs = []
    for _ in range(2):
        devtensor.manual_seed(3)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Dropout(0.5), nn.Linear(8, 3))
        runs.append(train(model, x, y, "cpu", 3, 0.1))
    assert runs[0] == runs[1]
