"""ci/gpu_check.py loses nothing to a limit, names what it did not reach, and says so if there is no GPU."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
TELL = "import json, os; json.dump({}, open(os.environ['DEVTENSOR_STAGE_RESULT'], 'w'));"
DEAF = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
STANDIN = ROOT / "tests" / "standin"


@pytest.fixture
def check(monkeypatch):
    """The module, in a hurry; its command takes SIGTERM over, which is given back."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.syspath_prepend(str(ROOT / "ci"))
    import gpu_check

    monkeypatch.setattr(gpu_check, "LEAST", 0.5)
    monkeypatch.setattr(gpu_check, "GRACE", 1.0)
    monkeypatch.setattr(gpu_check, "RESERVE", 0.0)
    yield gpu_check
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def stages(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "ci"))
    import gpu_stages

    return gpu_stages


def fake(check, name: str, code: str, limit: float = 20.0):
    return check.Stage(name, limit, [sys.executable, "-c", code])


def telling(**data: object) -> str:
    return TELL.replace("{}", repr(data))


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def test_all_stages_that_pass(check, tmp_path):
    stages = [fake(check, "first", telling(speed=3) + "print('hello')"), fake(check, "second", "")]
    assert check.Check(stages, 100, tmp_path / "out").run() == 0
    told = results(tmp_path / "out")
    assert [each["state"] for each in told["stages"].values()] == ["passed", "passed"]
    assert told["stages"]["first"]["data"] == {"speed": 3}
    assert told["not_reached"] == []
    report = (tmp_path / "out" / "report.md").read_text()
    assert "| first | passed |" in report and "- speed: 3" in report and "Not reached" not in report
    assert "===== first" in (log := (tmp_path / "out" / "log.txt").read_text()) and "hello" in log


def test_a_stage_that_fails_keeps_what_it_told_and_the_others_run(check, tmp_path):
    stages = [fake(check, "bad", telling(until=7) + "raise SystemExit(4)"), fake(check, "good", telling(x=1))]
    assert check.Check(stages, 100, tmp_path).run() == 1
    told = results(tmp_path)["stages"]
    assert told["bad"]["state"] == "failed with status 4" and told["bad"]["data"] == {"until": 7}
    assert told["good"]["state"] == "passed"


def test_a_stage_that_takes_too_long_is_asked_and_then_made_to_end(check, tmp_path):
    asked = f"import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt:\n {telling(partly=True)}"
    begun = time.monotonic()
    stages = [fake(check, "polite", asked, 1.5), fake(check, "deaf", DEAF, 1.5), fake(check, "last", "")]
    assert check.Check(stages, 100, tmp_path).run() == 1
    assert time.monotonic() - begun < 30
    told = results(tmp_path)["stages"]
    assert [told[name]["state"] for name in ("polite", "deaf", "last")] == ["out of time"] * 2 + ["passed"]
    assert told["polite"]["data"] == {"partly": True}


def test_what_the_budget_does_not_reach_is_named(check, tmp_path):
    stages = [
        fake(check, "long", "import time; time.sleep(60)"),
        fake(check, "never", ""),
        fake(check, "nor", ""),
    ]
    assert check.Check(stages, 3.5, tmp_path).run() == 1
    told = results(tmp_path)
    assert told["not_reached"] == ["never", "nor"]
    assert told["stages"]["long"]["limit"] <= 2.5
    assert "Not reached: never, nor." in (tmp_path / "report.md").read_text()


def test_results_are_written_after_every_stage(check, tmp_path):
    look = f"import json; told = json.load(open({str(tmp_path / 'results.json')!r}));" + TELL.replace(
        "{}", "{'states': [each['state'] for each in told['stages'].values()]}"
    )
    stages = [fake(check, name, look) for name in ("first", "second", "third")]
    check.Check(stages, 100, tmp_path).run()
    told = results(tmp_path)["stages"]
    assert told["first"]["data"]["states"] == ["not reached"] * 3
    assert told["second"]["data"]["states"] == ["passed", "not reached", "not reached"]
    assert told["third"]["data"]["states"] == ["passed", "passed", "not reached"]


def test_numbers_of_an_earlier_run_are_not_taken_for_new(check, tmp_path):
    assert check.Check([fake(check, "one", telling(old=1))], 100, tmp_path).run() == 0
    assert check.Check([fake(check, "one", "")], 100, tmp_path).run() == 0
    assert results(tmp_path)["stages"]["one"]["data"] == {}


def test_without_a_gpu_it_says_so(check, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(check, "gpu_missing", lambda: "CuPy finds no NVIDIA device")
    assert check.main(["--out", str(tmp_path / "out")]) == 3
    assert "no GPU can be checked here: CuPy finds no NVIDIA device" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_runs_the_stages_of_the_other_file(check, stages, monkeypatch, tmp_path):
    ran = []
    monkeypatch.setattr(check, "gpu_missing", lambda: None)
    monkeypatch.setattr(
        check.Check, "run_stage", lambda self, stage, limit, log: ran.append(stage) or check.Outcome("passed")
    )
    assert check.main(["--out", str(tmp_path)]) == 0
    assert [stage.name for stage in ran] == [*stages.LIMITS] == [*stages.STAGES]
    assert all(Path(stage.command[1]).samefile(stages.__file__) for stage in ran)
    ran.clear()
    assert check.main(["--out", str(tmp_path), "--only", "memory"]) == 0
    assert [stage.name for stage in ran] == ["memory"]


def test_a_stage_that_crashes_is_named_by_its_signal(check, tmp_path):
    crash = telling(before=1) + "import ctypes; ctypes.string_at(0)"
    stages = [fake(check, "crash", crash), fake(check, "next", telling(x=1))]
    assert check.Check(stages, 100, tmp_path).run() == 1
    told = results(tmp_path)["stages"]
    assert told["crash"]["state"] == "killed by SIGSEGV" and told["crash"]["data"] == {"before": 1}
    assert told["next"]["state"] == "passed"


def test_the_budget_holds_also_where_a_stage_must_be_killed(check, tmp_path):
    begun = time.monotonic()
    assert check.Check([fake(check, "deaf", DEAF)] * 3, 4.0, tmp_path).run() == 1
    assert time.monotonic() - begun < 8
    assert results(tmp_path)["stages"]["deaf"]["state"] == "out of time"


def test_what_a_stage_started_is_killed_with_it(check, tmp_path):
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(tmp_path / 'alive')!r}).touch()"
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]); " + DEAF
    check.Check([fake(check, "parent", parent, 0.7)], 100, tmp_path).run()
    time.sleep(3)
    assert not (tmp_path / "alive").exists()


def test_a_command_that_is_ended_early_ends_its_stage(tmp_path):
    touch = "pathlib.Path({!r}).touch()".format
    begun, alive = tmp_path / "begun", tmp_path / "alive"
    stage = f"import time, pathlib; {touch(str(begun))}; time.sleep(3); {touch(str(alive))}"
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'ci')!r}); import gpu_check; "
        "gpu_check.gpu_missing = lambda: None; gpu_check.LIMITS = {'long': 50.0}; "
        f"command = [sys.executable, '-c', {stage!r}]; plain = gpu_check.Stage; "
        "gpu_check.Stage = lambda name, limit, script: plain(name, limit, command); "
        f"gpu_check.main(['--out', {str(tmp_path)!r}])"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    until = time.monotonic() + 20
    while not begun.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    process.terminate()
    assert process.wait(10) == 1
    time.sleep(3)
    assert not alive.exists()
    assert results(tmp_path)["not_reached"] == ["long"]


def test_a_report_is_readable(check):
    data = {
        "copy GB/s": 3.0,
        "add": {"devtensor ms": 1.5, "torch ms": 1.0},
        "tests": {"failed": 1, "names": {"a::b": "E = mc"}},
        "bad": [],
    }
    assert check.told_lines(data) == [
        "- copy GB/s: 3.0",
        "- add: devtensor ms 1.5, torch ms 1.0",
        "- tests:",
        "  - failed: 1",
        "  - names:",
        "    - a::b: E = mc",
        "- bad: []",
    ]


@pytest.fixture
def numbers(stages, monkeypatch, tmp_path):
    """Empty numbers, and what their file holds."""
    path = tmp_path / "numbers.json"
    monkeypatch.setenv("DEVTENSOR_STAGE_RESULT", str(path))
    return stages.Numbers(), lambda: json.loads(path.read_text())


def test_numbers_are_written_as_they_come(numbers):
    told, written = numbers
    told["a"] = 1
    assert written() == {"a": 1}
    told["b"] = [2]
    assert written() == {"a": 1, "b": [2]}


def test_a_measurement_that_fails_is_noted_and_the_next_is_taken(numbers):
    told, written = numbers
    assert not told.attempt("ratio", lambda: 1 / 0)
    assert told.attempt("sum", lambda: 1 + 1)
    assert written() == {"ratio": "ZeroDivisionError: division by zero", "sum": 2}


def test_tests_are_counted_while_they_run(numbers):
    import gpu_tally

    told, written = numbers
    tally = gpu_tally.Tally(told)

    def report(name, when, outcome, text=""):
        told_by_pytest = SimpleNamespace(nodeid=name, when=when, longrepr=text)
        told_by_pytest.failed, told_by_pytest.skipped = outcome == "failed", outcome == "skipped"
        tally.pytest_runtest_logreport(told_by_pytest)

    report("good", "setup", "passed")
    assert written()["tests"]["ran"] == 0
    report("good", "call", "passed")
    report("bad", "call", "failed", "def test():\n>   f()\nE   AssertionError: 1 is not 2\nE   more")
    report("broken", "setup", "failed", "no such fixture")
    report("passed over", "setup", "skipped")
    tally.pytest_collectreport(SimpleNamespace(nodeid="file", failed=True, longrepr="E   ImportError: x"))
    tally.pytest_sessionfinish()
    names = {"bad": "AssertionError: 1 is not 2", "broken": "no such fixture", "file": "ImportError: x"}
    assert written()["tests"] == {"ran": 2, "skipped": 1, "failed": 3, "names": names}


def test_the_suite_runs_what_needs_the_device_and_tells_its_status(numbers, monkeypatch):
    import gpu_tally

    told, _ = numbers
    asked = []
    monkeypatch.setattr(pytest, "main", lambda command, plugins: asked.append(command) or len(asked) - 1)
    gpu_tally.tests(told, "tests/ops")
    assert asked[0][-1] == "tests/ops"
    for option, value in (("--device", "cuda"), ("-m", "cuda")):
        assert asked[0][asked[0].index(option) + 1] == value
    with pytest.raises(SystemExit, match="1"):
        gpu_tally.tests(told, "tests/ops")
    monkeypatch.setattr(gpu_tally, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        gpu_tally.tests(told, "tests/ops")
    assert told["tests"] == "pytest is not installed"


@pytest.mark.parametrize(
    ("said", "status", "found"),
    [
        ("ERROR SUMMARY: 0 errors", 0, "0 errors"),
        ("ERROR SUMMARY: 3 errors", 0, "3 errors"),
        ("ERROR SUMMARY: 0 errors", 1, "0 errors; the cases fail"),
        ("RACECHECK SUMMARY: 1 hazard displayed", 0, "1 errors"),
        ("Error: Device not supported", 1, "cannot look here"),
    ],
)
def test_what_the_sanitizer_says(numbers, monkeypatch, tmp_path, said, status, found):
    import gpu_facts

    program = tmp_path / "compute-sanitizer"
    program.write_text(f"#!/bin/sh\necho '========= {said}'\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    told, written = numbers
    if found in ("0 errors", "cannot look here"):
        gpu_facts.sanitizer(told)
    else:
        with pytest.raises(AssertionError):
            gpu_facts.sanitizer(told)
    assert all(written()[tool].startswith(found) for tool in ("memcheck", "racecheck", "synccheck"))


def test_without_a_sanitizer_that_is_said(numbers, monkeypatch):
    import gpu_facts

    monkeypatch.setattr(gpu_facts.shutil, "which", lambda name: None)
    monkeypatch.setattr(gpu_facts, "PLACES", ())
    gpu_facts.sanitizer(numbers[0])
    assert numbers[1]() == {"compute-sanitizer": "not found on this machine"}


@pytest.mark.skipif(
    shutil.which("g++") is None and not os.environ.get("CI"),
    reason="g++ is missing: the stand-in builds CUDA sources with it",
)
@pytest.mark.xdist_group("standin")
def test_a_rehearsal_over_the_stand_in(tmp_path):
    """Stages that take seconds, whole: the command finds a device, and nothing is wrong with the stages."""
    names = ("versions", "speeds", "streams", "exchange", "facts")
    command = [sys.executable, str(ROOT / "ci" / "gpu_check.py"), "--budget", "200", "--out", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (STANDIN, ROOT / "tests")))}
    chosen = [word for name in names for word in ("--only", name)]
    done = subprocess.run(command + chosen, capture_output=True, text=True, env=environment, timeout=250)
    assert done.returncode == 0, done.stdout + (tmp_path / "log.txt").read_text()
    told = results(tmp_path)["stages"]
    assert {name: told[name]["state"] for name in told} == dict.fromkeys(names, "passed")
    assert told["versions"]["data"]["note"].startswith("a stand-in plays the device")
    assert told["streams"]["data"]["pipelines right of 50"] == 50
    assert told["exchange"]["data"]["DLPack with cupy"] == "right in 20 turns"
    assert told["facts"]["data"]["a launch of ours, microseconds of the host"] > 0
    assert all(told["speeds"]["data"][f"product {name} TFLOP/s"] for name in ("float16", "float32"))


def test_the_training_of_the_stages_learns(stages):
    losses = stages.train("cpu", 12)
    assert losses[-1] < losses[0]


def test_captured_steps_are_eager_steps(stages, monkeypatch):
    """The steps of the stage `graphs`, on the CPU."""
    import devtensor

    monkeypatch.setattr(stages, "DEVICE", "cpu")
    eager, replayed = stages.stepper(1, False), stages.stepper(1, True)
    losses = [(eager().item(), replayed().item()) for _ in range(5)]
    assert all(ours == theirs for ours, theirs in losses)
    assert losses[-1][0] < losses[0][0]
    assert not devtensor.is_autocast_enabled("cpu")


@pytest.mark.parametrize("kind", ["MLP", "CNN", "Transformer"])
def test_models_of_the_stages_train(stages, monkeypatch, kind):
    import gpu_speeds

    import devtensor

    monkeypatch.setattr(gpu_speeds, "is_standin", lambda: True)
    monkeypatch.setattr(gpu_speeds, "sized", lambda size: min(size, 64))
    monkeypatch.setattr(gpu_speeds, "DEVICE", "cpu")
    (model,) = [name for name in gpu_speeds.MODELS if name.startswith(kind)]
    step = gpu_speeds.training(devtensor, model, "float16")
    losses = [step().item() for _ in range(3)]
    assert losses[-1] < losses[0]
