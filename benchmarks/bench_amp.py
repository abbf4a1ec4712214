"""A step under autocast against its float32 step on the CPU, with machine code for the casts and without."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable

from bench_train import MODELS, PRECISIONS, training_step
from measure import interleaved, options, report

import devtensor as torch
from devtensor_numpy.compile.casts import casts

CASTS = "NumPy", "fast"


def steps(model: str) -> dict[str, Callable[[], object]]:
    """The model's steps, eager and captured, in each precision and with each way of casting."""
    make, shape = MODELS[model]
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
    for model in MODELS:
        candidates = steps(model)
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
