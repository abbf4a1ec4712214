"""A step under autocast against its float32 step on the CPU, with machine code for the casts and without."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable

from bench_train import MODELS, PRECISIONS, training_step
from measure import interleaved, options, report

import devtensor as torch
from devtensor import nn
from devtensor_numpy.compile.casts import casts

CASTS = "NumPy", "fast"


class Residual(nn.Module):
    """What a block of layers makes of an input, added to it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(x + self.layers(x))


class LastOfLSTM(nn.Module):
    """What an LSTM puts out at the last step."""

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, size, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lstm(x)[0][:, -1]


def convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)]


LARGER: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP 784-1024-1024-10, batch 256": (
        lambda: nn.Sequential(
            nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)
        ),
        (256, 784),
    ),
    "residual block 32 on 32x32, batch 16": (
        lambda: nn.Sequential(
            *convolution(3, 32),
            nn.ReLU(),
            Residual(*convolution(32, 32), nn.ReLU(), *convolution(32, 32)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(32, 10),
        ),
        (16, 3, 32, 32),
    ),
    "encoder layer 128, 4 heads, 16x64": (
        lambda: nn.Sequential(
            nn.TransformerEncoderLayer(128, 4, 512, batch_first=True), nn.Flatten(), nn.Linear(64 * 128, 10)
        ),
        (16, 64, 128),
    ),
    "LSTM 64-128, 16x64": (
        lambda: nn.Sequential(LastOfLSTM(64, 128), nn.Linear(128, 10)),
        (16, 64, 64),
    ),
}


def steps(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> dict[str, Callable[[], object]]:
    """A model's steps, eager and captured, in each precision and with each way of casting."""
    found: dict[str, Callable[[], object]] = {}
    for precision, dtype in PRECISIONS.items():
        for way in CASTS if dtype else CASTS[:1]:
            found[f"{precision}|{way}|eager"] = cast_by(way, training_step(make, shape, dtype))
            captured = torch.graph.capture(training_step(make, shape, dtype))
            found[f"{precision}|{way}|captured"] = cast_by(way, captured)
    return found


def cast_by(way: str, step: Callable[[], object]) -> Callable[[], object]:
    """The step with that way of casting."""
    if way == "fast":
        return step

    def without() -> object:
        with casts.off():
            return step()

    return without


def main() -> None:
    given = options(__doc__ or "")
    print("machine code:", casts.describe())
    rows = []
    for model, (make, shape) in (MODELS | LARGER).items():
        candidates = steps(make, shape)
        for _ in range(3):
            for step in candidates.values():
                step()
        seconds = interleaved(candidates, given.rounds, 1)
        for precision, dtype in PRECISIONS.items():
            for way in CASTS if dtype else CASTS[:1]:
                eager, captured = (seconds[f"{precision}|{way}|{how}"] for how in ("eager", "captured"))
                rows.append(
                    {
                        "model": model,
                        "precision": precision,
                        "casts": way if dtype else "none",
                        "eager ms": round(eager * 1e3, 2),
                        "eager / float32": round(eager / seconds["float32|NumPy|eager"], 2),
                        "captured ms": round(captured * 1e3, 2),
                        "captured / float32": round(captured / seconds["float32|NumPy|captured"], 2),
                    }
                )
    report(rows, given.out)


if __name__ == "__main__":
    main()
