"""What an eager op costs over the library's own call."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import subprocess
import sys
import time

import numpy as np
from measure import interleaved, options, report

import devtensor as torch


def pairs() -> dict[str, tuple]:
    """Name -> (our call, NumPy's own) on 4x4 float32."""
    x, y = torch.ones(4, 4), torch.ones(4, 4)
    w = torch.ones(4, 4, requires_grad=True)
    z = torch.zeros(4, 4)
    a, b, c = x.numpy(), y.numpy(), z.numpy()
    return {
        "a + b": (lambda: x + y, lambda: np.add(a, b)),
        "a + b, recorded": (lambda: w + y, lambda: np.add(a, b)),
        "a * b, recorded": (lambda: w * y, lambda: np.multiply(a, b)),
        "a * 2.0": (lambda: x * 2.0, lambda: a * 2.0),
        "a.exp()": (lambda: x.exp(), lambda: np.exp(a)),
        "a.add_(b)": (lambda: z.add_(y), lambda: np.add(c, b, c)),
        "a.sum()": (lambda: x.sum(), lambda: np.add.reduce(a, None)),
        "a @ b": (lambda: x @ y, lambda: a @ b),
        "a.reshape(16)": (lambda: x.reshape(16), lambda: a.reshape(16)),
        "a[1]": (lambda: x[1], lambda: a[1]),
    }


def import_cost() -> dict[str, float]:
    """CPU milliseconds that `import devtensor`, and `import numpy`, take in a started interpreter: the low
    decile of 21 fresh ones."""

    # Compiled once, as for every installed package.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    clock = "import time; start = time.process_time(); {}; print(time.process_time() - start)"

    def cpu(code: str) -> float:
        command = [sys.executable, "-c", clock.format(code)]
        return float(subprocess.run(command, check=True, env=environment, capture_output=True).stdout) * 1e3

    found = {code: [] for code in ("import devtensor", "import numpy")}
    for _ in range(21):
        for code, times in found.items():
            times.append(cpu(code))
    return {code: sorted(times)[2] for code, times in found.items()}


def main() -> None:
    given = options(__doc__ or "")
    candidates = {}
    for name, (ours, theirs) in pairs().items():
        candidates[name], candidates[f"numpy: {name}"] = ours, theirs
    started = time.time()
    seconds = interleaved(candidates, given.rounds, 1000)
    rows = [
        {
            "op": name,
            "devtensor us": round(seconds[name] * 1e6, 2),
            "numpy us": round(seconds[f"numpy: {name}"] * 1e6, 2),
            "over us": round((seconds[name] - seconds[f"numpy: {name}"]) * 1e6, 2),
        }
        for name in pairs()
    ]
    for code, milliseconds in import_cost().items():
        rows.append(
            {"op": f"{code} (ms)", "devtensor us": round(milliseconds, 1), "numpy us": "", "over us": ""}
        )
    report(rows, given.out)
    print(f"{time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
