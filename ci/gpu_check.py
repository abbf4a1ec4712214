"""Everything that only a GPU can tell, in one command that a time limit costs nothing.

    python ci/gpu_check.py --budget 540 --out DIR

Stages run in order of worth, each in a process and with a limit of its own. After each of them
DIR/results.json and DIR/report.md are written anew, and name the stages that were not reached; DIR/log.txt
holds what the stages printed. Ends with 0 if all passed, 1 if one failed, 3 if there is no GPU. A plain
checkout is enough, with a Python that has NumPy, ml_dtypes and CuPy; the suites need pytest.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from gpu_numbers import RESULT
from gpu_stages import LIMITS

ROOT = Path(__file__).resolve().parents[1]
NO_GPU = 3
STARTED = time.monotonic()
LEAST = 5.0
"""Seconds below which a stage is not begun."""
GRACE = 8.0
"""Seconds between asking a stage to end and ending it."""
RESERVE = 1.0
"""Seconds kept for ending and writing."""


@dataclass(frozen=True)
class Stage:
    """A command, and the seconds that it may take at most."""

    name: str
    limit: float
    command: list[str]


@dataclass
class Outcome:
    """How a stage went; `data` is what it measured, also if it failed later."""

    state: str = "not reached"
    seconds: float = 0.0
    limit: float = 0.0
    data: dict[str, Any] = field(default_factory=dict)


class Check:
    """The stages, what came of them, and the files that tell it."""

    def __init__(self, stages: list[Stage], budget: float, out: Path, begun: float | None = None) -> None:
        self.stages, self.budget, self.out = stages, budget, out
        self.begun = time.monotonic() if begun is None else begun
        self.date = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        self.outcomes = {stage.name: Outcome() for stage in stages}

    def left(self) -> float:
        return self.budget - (time.monotonic() - self.begun)

    def run(self) -> int:
        """All stages that the budget allows; gives the command's exit status."""
        self.out.mkdir(parents=True, exist_ok=True)
        self.write()
        with (self.out / "log.txt").open("w", encoding="utf-8") as log:
            for stage in self.stages:
                limit = min(stage.limit, self.left() - GRACE - RESERVE)
                if limit < LEAST:
                    break
                self.outcomes[stage.name] = self.run_stage(stage, limit, log)
                self.write()
        return 0 if all(each.state == "passed" for each in self.outcomes.values()) else 1

    def run_stage(self, stage: Stage, limit: float, log: TextIO) -> Outcome:
        log.write(f"\n===== {stage.name}: at most {limit:.0f} s\n")
        log.flush()
        result, start = self.out / f"stage-{stage.name}.json", time.monotonic()
        result.unlink(missing_ok=True)
        surroundings = os.environ | {RESULT: str(result)}
        process = subprocess.Popen(
            stage.command, stdout=log, stderr=log, cwd=ROOT, env=surroundings, start_new_session=True
        )
        try:
            state = ended(process, limit)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        data = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
        return Outcome(state, round(time.monotonic() - start, 1), round(limit, 1), data)

    def write(self) -> None:
        """Both files, whole at any time."""
        told = {
            "date": self.date,
            "budget": self.budget,
            "seconds": round(time.monotonic() - self.begun, 1),
            "not_reached": [name for name, each in self.outcomes.items() if each.state == "not reached"],
            "stages": {name: asdict(each) for name, each in self.outcomes.items()},
        }
        replace(self.out / "results.json", json.dumps(told, indent=1) + "\n")
        replace(self.out / "report.md", report(told))


def ended(process: subprocess.Popen, limit: float) -> str:
    """Wait for a stage; one that takes too long is asked to end, to tell what it has, and then made to."""
    try:
        status = process.wait(limit)
    except subprocess.TimeoutExpired:
        for request in (signal.SIGINT, signal.SIGKILL):
            os.killpg(process.pid, request)
            try:
                process.wait(GRACE)
                break
            except subprocess.TimeoutExpired:
                continue
        return "out of time"
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return "passed" if status == 0 else f"failed with status {status}"


def replace(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def report(told: dict[str, Any]) -> str:
    """results.json for readers."""
    lines = [f"# GPU check, {told['date']}", "", "| stage | state | seconds | limit |", "|---|---|---|---|"]
    for name, each in told["stages"].items():
        lines.append(f"| {name} | {each['state']} | {each['seconds']} | {each['limit']} |")
    if told["not_reached"]:
        lines += ["", f"Not reached: {', '.join(told['not_reached'])}."]
    for name, each in told["stages"].items():
        if each["data"]:
            lines += ["", f"## {name}", "", *told_lines(each["data"])]
    return "\n".join(lines) + "\n"


def told_lines(data: dict[str, Any], inside: str = "") -> list[str]:
    """A line for each number; numbers that belong together share one, texts stand below their name."""
    lines = []
    for key, value in data.items():
        if not isinstance(value, dict) or not value:
            lines.append(f"{inside}- {key}: {value}")
        elif any(isinstance(each, (dict, list, str)) for each in value.values()):
            lines += [f"{inside}- {key}:", *told_lines(value, inside + "  ")]
        else:
            lines.append(f"{inside}- {key}: " + ", ".join(f"{name} {each}" for name, each in value.items()))
    return lines


def gpu_missing() -> str | None:
    """None if there is a GPU to check, else why not."""
    sys.path[:0] = [str(ROOT), str(ROOT / "backends")]
    try:
        from devtensor_cupy import backend
    except ImportError as error:
        return f"devtensor cannot be imported: {error}"
    return backend.available()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--budget", type=float, default=540, help="seconds for everything")
    parser.add_argument(
        "--out", type=Path, required=True, help="the folder for results.json, report.md, log.txt"
    )
    parser.add_argument("--only", action="append", choices=LIMITS, help="run this stage; may be given again")
    chosen = parser.parse_args(arguments)
    lacking = gpu_missing()
    if lacking is not None:
        print(f"ci/gpu_check.py: no GPU can be checked here: {lacking}", file=sys.stderr)
        return NO_GPU
    script = str(Path(__file__).with_name("gpu_stages.py"))
    names = chosen.only or list(LIMITS)
    stages = [Stage(name, LIMITS[name], [sys.executable, script, name]) for name in names]
    check = Check(stages, chosen.budget, chosen.out.resolve(), STARTED)
    # Whoever ends this early ends the stage with it, which is a session of its own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    status = check.run()
    print((check.out / "report.md").read_text(encoding="utf-8"))
    return status


if __name__ == "__main__":
    sys.exit(main())
