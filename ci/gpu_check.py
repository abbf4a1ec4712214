"""Everything that only a GPU can tell, in one command that a time limit costs nothing.

    python ci/gpu_check.py --budget 540 --out DIR

Stages run in order of worth, each in a process and with a limit of its own. DIR/results.json and
DIR/report.md are whole at any time, are written anew every few seconds, and name the stages that were not
reached; DIR/log.txt holds what the stages printed. Ends with 0 if all passed, 1 if one failed, 3 if there is
no GPU, which the files say, too. A plain checkout is enough, with a Python that has NumPy, ml_dtypes and
CuPy; the suites need pytest.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import gpu_machine
from gpu_machine import ROOT
from gpu_numbers import RESULT
from gpu_report import report
from gpu_stages import LIMITS

NO_GPU = 3
STARTED = time.monotonic()
LEAST = 5.0
"""Seconds below which a stage is not begun."""
GRACE = 8.0
"""Seconds between asking a stage to end and ending it."""
RESERVE = 1.0
"""Seconds kept for ending and writing."""
EVERY = 2.0
"""Seconds between looks at what a stage has told so far."""


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

    problem: str | None = None
    advice: tuple[str, ...] = ()

    def __init__(self, stages: list[Stage], budget: float, out: Path, begun: float | None = None) -> None:
        self.stages, self.budget, self.out = stages, budget, out
        self.begun = time.monotonic() if begun is None else begun
        self.date = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        self.outcomes = {stage.name: Outcome() for stage in stages}

    def left(self) -> float:
        return self.budget - (time.monotonic() - self.begun)

    def run(self) -> int:
        """All stages that the budget allows; gives the command's exit status."""
        self.write()
        with (self.out / "log.txt").open("w", encoding="utf-8") as log:
            for stage in self.stages:
                limit = min(stage.limit, self.left() - GRACE - RESERVE)
                if limit < LEAST:
                    break
                self.run_stage(stage, limit, log)
        return 0 if all(each.state == "passed" for each in self.outcomes.values()) else 1

    def run_stage(self, stage: Stage, limit: float, log: TextIO) -> None:
        """Let a stage run to its end or its limit; what it told is on disk all the while."""
        log.write(f"\n===== {stage.name}: at most {limit:.0f} s\n")
        log.flush()
        result, start = self.out / f"stage-{stage.name}.json", time.monotonic()
        result.unlink(missing_ok=True)
        outcome = self.outcomes[stage.name] = Outcome("running", limit=round(limit, 1))

        def note() -> None:
            outcome.seconds = round(time.monotonic() - start, 1)
            if result.is_file():
                outcome.data = json.loads(result.read_text(encoding="utf-8"))
            self.write()

        note()
        process = subprocess.Popen(
            stage.command, stdout=log, stderr=log, cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", RESULT: str(result)}, start_new_session=True,
        )  # fmt: skip
        try:
            outcome.state = ended(process, limit, note)
        except BaseException:
            outcome.state = "stopped from outside"
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            note()

    def write(self) -> None:
        """Both files, whole at any time."""
        self.out.mkdir(parents=True, exist_ok=True)
        told = {
            "date": self.date,
            "problem": self.problem,
            "advice": list(self.advice),
            "budget": self.budget,
            "seconds": round(time.monotonic() - self.begun, 1),
            "not_reached": [name for name, each in self.outcomes.items() if each.state == "not reached"],
            "stages": {name: asdict(each) for name, each in self.outcomes.items()},
        }
        replace(self.out / "results.json", json.dumps(told, indent=1) + "\n")
        replace(self.out / "report.md", report(told))


def ended(process: subprocess.Popen, limit: float, look: Callable[[], None]) -> str:
    """Wait for a stage, looking at what it has told; one that takes too long is made to end."""
    until = time.monotonic() + limit
    status = None
    while status is None:
        left = until - time.monotonic()
        if left <= 0:
            end(process)
            return "out of time"
        try:
            status = process.wait(min(EVERY, left))
        except subprocess.TimeoutExpired:
            look()
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return "passed" if status == 0 else f"failed with status {status}"


def end(process: subprocess.Popen) -> None:
    """Ask a stage to end, so that it tells what it has, and then kill it."""
    for request in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, request)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
            return


def replace(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--budget", type=float, default=540, help="seconds for everything")
    parser.add_argument(
        "--out", type=Path, required=True, help="the folder for results.json, report.md, log.txt"
    )
    parser.add_argument("--only", action="append", choices=LIMITS, help="run this stage; may be given again")
    chosen = parser.parse_args(arguments)
    script = str(Path(__file__).with_name("gpu_stages.py"))
    names = chosen.only or list(LIMITS)
    stages = [Stage(name, LIMITS[name], [sys.executable, script, name]) for name in names]
    check = Check(stages, chosen.budget, chosen.out.resolve(), STARTED)
    os.environ.update(gpu_machine.caches())
    check.problem, check.advice = gpu_machine.problem(), tuple(gpu_machine.advice())
    try:
        check.write()
    except OSError as error:
        parser.error(f"--out {check.out} cannot be written, name another folder: {error}")
    if check.problem is not None:
        told = f"ci/gpu_check.py: no GPU can be checked here: {check.problem}"
        print(told, *check.advice, sep="\n", file=sys.stderr)
        return NO_GPU
    # Whoever ends this early ends the stage with it, which is a session of its own.
    for request in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(request, lambda *_: sys.exit(1))
    status = check.run()
    print((check.out / "report.md").read_text(encoding="utf-8"))
    return status


if __name__ == "__main__":
    sys.exit(main())
