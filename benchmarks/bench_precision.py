"""Does float16 with loss scaling learn as well as float32? The main job with the same seeds in both."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import report, surroundings

TRAIN = Path(__file__).parent.parent / "examples" / "train.py"


def accuracy(amp: str, seed: int, rest: list[str]) -> tuple[float, float]:
    """Accuracy in percent on the held-out images, and the run's seconds."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, str(TRAIN), "--amp", amp, "--seed", str(seed), "--out", out, *rest]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    last = done.stdout.strip().splitlines()[-1]
    return float(last.removeprefix("test accuracy ").removesuffix(" %")), time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", help="write the results as JSON to this file")
    given, rest = parser.parse_known_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    rows = []
    for seed in range(given.seeds):
        row: dict = {"seed": seed}
        for amp in ("off", "float16"):
            found, seconds = accuracy(amp, seed, rest)
            row |= {f"{amp} %": found, f"{amp} s": round(seconds, 1)}
        rows.append(row)
    means = {amp: statistics.mean(row[f"{amp} %"] for row in rows) for amp in ("off", "float16")}
    report(rows, None)
    print(f"mean: float32 {means['off']:.2f} %, float16 {means['float16']:.2f} %, ", end="")
    print(f"difference {means['float16'] - means['off']:+.2f} points")
    if given.out:
        held = {"surroundings": surroundings(), "arguments": rest, "rows": rows, "means": means}
        Path(given.out).write_text(json.dumps(held, indent=1) + "\n")


if __name__ == "__main__":
    main()
