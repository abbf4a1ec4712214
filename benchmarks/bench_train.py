"""Whole training steps: eager and captured, float32 and under autocast with loss scaling."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable

from measure import interleaved, options, report

import devtensor as torch
from devtensor import nn

# name -> (model, shape of a batch)
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP 784-128-10, batch 64": (
        lambda: nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)),
        (64, 784),
    ),
    "CNN 16-32 on 1x28x28, batch 64": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 10),
        ),
        (64, 1, 28, 28),
    ),
}
PRECISIONS = {"float32": None, "float16": torch.float16, "bfloat16": torch.bfloat16}


def training_step(
    make: Callable[[], nn.Module], shape: tuple[int, ...], dtype: torch.dtype | None
) -> Callable:
    """One step of AdamW on one batch; float16 with loss scaling."""
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cpu", enabled=dtype is torch.float16)
    x, y = torch.randn(*shape), torch.randint(0, 10, (shape[0],))

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            loss = nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    return step


def main() -> None:
    given = options(__doc__ or "")
    candidates: dict[str, Callable[[], object]] = {}
    for model, (make, shape) in MODELS.items():
        for precision, dtype in PRECISIONS.items():
            candidates[f"{model}|{precision}|eager"] = training_step(make, shape, dtype)
            candidates[f"{model}|{precision}|captured"] = torch.graph.capture(
                training_step(make, shape, dtype)
            )
    for _ in range(3):
        for step in candidates.values():
            step()
    seconds = interleaved(candidates, given.rounds, 1)
    rows = []
    for model in MODELS:
        base = seconds[f"{model}|float32|eager"]
        for precision in PRECISIONS:
            eager, captured = (seconds[f"{model}|{precision}|{way}"] for way in ("eager", "captured"))
            rows.append(
                {
                    "model": model,
                    "precision": precision,
                    "eager ms": round(eager * 1e3, 2),
                    "captured ms": round(captured * 1e3, 2),
                    "captured / eager": round(captured / eager, 2),
                    "eager / float32 eager": round(eager / base, 2),
                }
            )
    report(rows, given.out)


if __name__ == "__main__":
    main()
