"""Interleaved timing: candidates take turns, and the low decile of their rounds counts."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path


def interleaved(candidates: dict[str, Callable[[], object]], rounds: int, number: int) -> dict[str, float]:
    """CPU seconds per call of each candidate: the low decile over rounds in which all take turns."""
    seen: dict[str, list[float]] = {name: [] for name in candidates}
    for function in candidates.values():
        function()
    for _ in range(rounds):
        for name, function in candidates.items():
            start = time.process_time()
            for _ in range(number):
                function()
            seen[name].append((time.process_time() - start) / number)
    return {name: sorted(times)[len(times) // 10] for name, times in seen.items()}


def surroundings() -> dict[str, str]:
    """What a reader must know of the machine: processor, versions, BLAS settings."""
    import numpy

    import devtensor

    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in cpuinfo.read_text().splitlines()
            if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    return {
        "date": date.today().isoformat(),
        "processor": processor,
        "cores": str(os.cpu_count()),
        "python": sys.version.split()[0],
        "numpy": numpy.__version__,
        "devtensor": devtensor.__version__,
        "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "unset"),
        "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE", "unset"),
        "OPENBLAS_L2_SIZE": os.environ.get("OPENBLAS_L2_SIZE", "unset"),
    }


def report(rows: list[dict], out: str | None) -> None:
    """Print rows as a table, and write them with the surroundings as JSON if a file is named."""
    if rows:
        columns = list(rows[0])
        widths = [max(len(c), *(len(str(r[c])) for r in rows)) for c in columns]
        for row in [dict(zip(columns, columns, strict=True)), *rows]:
            print("  ".join(str(row[c]).ljust(w) for c, w in zip(columns, widths, strict=True)))
    if out:
        Path(out).write_text(json.dumps({"surroundings": surroundings(), "rows": rows}, indent=1) + "\n")


def options(description: str) -> argparse.Namespace:
    """The options every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", help="write the results as JSON to this file")
    parser.add_argument("--rounds", type=int, default=60, help="rounds in which all candidates take turns")
    return parser.parse_args()
