"""ci/gpu_check.py loses nothing to limits and kills, names what it did not reach, says what is missing."""

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
    """The module, in a hurry; its command takes signals over, which are given back."""
    before = {request: signal.getsignal(request) for request in (signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.syspath_prepend(str(ROOT / "ci"))
    import gpu_check

    monkeypatch.setattr(gpu_check, "LEAST", 0.5)
    monkeypatch.setattr(gpu_check, "GRACE", 1.0)
    monkeypatch.setattr(gpu_check, "RESERVE", 0.0)
    yield gpu_check
    for request, handler in before.items():
        signal.signal(request, handler)


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
    assert told["first"]["data"]["states"] == ["running", "not reached", "not reached"]
    assert told["second"]["data"]["states"] == ["passed", "running", "not reached"]
    assert told["third"]["data"]["states"] == ["passed", "passed", "running"]


def test_numbers_of_an_earlier_run_are_not_taken_for_new(check, tmp_path):
    assert check.Check([fake(check, "one", telling(old=1))], 100, tmp_path).run() == 0
    assert check.Check([fake(check, "one", "")], 100, tmp_path).run() == 0
    assert results(tmp_path)["stages"]["one"]["data"] == {}


def test_without_a_gpu_it_says_so(check, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(check.gpu_machine, "problem", lambda: "CuPy finds no NVIDIA device")
    assert check.main(["--out", str(tmp_path / "out")]) == 3
    assert "no GPU can be checked here: CuPy finds no NVIDIA device" in capsys.readouterr().err
    told = results(tmp_path / "out")
    assert told["problem"] == "CuPy finds no NVIDIA device" and told["not_reached"] == [*told["stages"]]
    assert (
        "**No GPU could be checked: CuPy finds no NVIDIA device**" in (tmp_path / "out/report.md").read_text()
    )


def test_a_bare_python_is_told_what_to_install(tmp_path):
    command = [sys.executable, "-E", "-s", "-S", str(ROOT / "ci" / "gpu_check.py"), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3 and "python -m pip install ml_dtypes" in done.stderr, done.stderr
    told = results(tmp_path)
    assert told["problem"].startswith("numpy, ml_dtypes, cupy cannot be found by")
    assert [line.partition(" is missing")[0] for line in told["advice"]][:3] == ["numpy", "ml_dtypes", "cupy"]
    report = (tmp_path / "report.md").read_text()
    assert "- cupy is missing: python -m pip install 'cupy-cuda13x[ctk]'" in report


def test_a_folder_that_cannot_be_written_is_named(check, monkeypatch, tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="2"):
        check.main(["--out", str(tmp_path / "file")])
    assert "cannot be written, name another folder" in capsys.readouterr().err


def test_an_old_python_and_what_breaks_on_import_are_named(check, monkeypatch):
    machine = check.gpu_machine
    monkeypatch.setattr(machine, "there", lambda module: True)
    monkeypatch.setitem(sys.modules, "devtensor_cupy", SimpleNamespace())
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert machine.problem().startswith("devtensor cannot be imported: ImportError")
    monkeypatch.setattr(machine, "LEAST_PYTHON", (9, 9))
    assert machine.problem().endswith("devtensor needs 3.11 or newer")


def test_kernels_are_kept_elsewhere_where_home_cannot_be_written(check, monkeypatch, tmp_path):
    for variable in check.gpu_machine.CACHES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert check.gpu_machine.caches() == {}
    monkeypatch.setenv("HOME", "/proc/nowhere")
    monkeypatch.setenv("DEVTENSOR_CUBIN_CACHE", "")
    given = check.gpu_machine.caches()
    assert list(given) == ["CUPY_CACHE_DIR"]
    Path(given["CUPY_CACHE_DIR"]).rmdir()


def test_the_command_runs_the_stages_of_the_other_file(check, stages, monkeypatch, tmp_path):
    ran = []
    monkeypatch.setattr(check.gpu_machine, "problem", lambda: None)

    def run_stage(self, stage, limit, log):
        ran.append(stage)
        self.outcomes[stage.name].state = "passed"

    monkeypatch.setattr(check.Check, "run_stage", run_stage)
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


@pytest.mark.parametrize(
    ("request_", "state", "status"),
    [
        ("SIGTERM", "stopped from outside", 1),
        ("SIGHUP", "stopped from outside", 1),
        ("SIGKILL", "running", -9),
    ],
)
def test_a_command_that_is_ended_early_ends_its_stage_and_loses_nothing(request_, state, status, tmp_path):
    alive, here = tmp_path / "alive", f"import sys; sys.path.insert(0, {str(ROOT / 'ci')!r}); "
    stage = here + (
        "import pathlib, time, gpu_stages; "
        "work = lambda told: (told.update(partly=1), told.write(), time.sleep(4), "
        f"pathlib.Path({str(alive)!r}).touch()); gpu_stages.STAGES = {{'long': work}}; "
        "gpu_stages.main('long')"
    )
    code = here + (
        "import gpu_check; gpu_check.gpu_machine.problem = lambda: None; gpu_check.LIMITS = {'long': 50.0}; "
        f"command = [sys.executable, '-c', {stage!r}]; plain = gpu_check.Stage; gpu_check.EVERY = 0.1; "
        "gpu_check.Stage = lambda name, limit, script: plain(name, limit, command); "
        f"gpu_check.main(['--out', {str(tmp_path)!r}])"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    until = time.monotonic() + 20
    while not (tmp_path / "results.json").exists() or not results(tmp_path)["stages"]["long"]["data"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(getattr(signal, request_))
    assert process.wait(10) == status
    time.sleep(4)
    assert not alive.exists()
    told = results(tmp_path)
    assert told["not_reached"] == [] and told["stages"]["long"]["data"] == {"partly": 1}
    assert told["stages"]["long"]["state"] == state
    assert f"| long | {state} |" in (tmp_path / "report.md").read_text()


def test_a_report_is_readable(check):
    data = {
        "copy GB/s": 3.0,
        "add": {"devtensor ms": 1.5, "torch ms": 1.0},
        "tests": {"failed": 1, "names": {"a::b": "E = mc"}},
        "bad": [],
    }
    from gpu_report import told_lines

    assert told_lines(data) == [
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
    monkeypatch.setattr(gpu_tally, "processes", lambda: 3)
    monkeypatch.setattr(pytest, "main", lambda command, plugins: asked.append(command) or len(asked) - 1)
    gpu_tally.tests(told, "tests/ops")
    assert asked[0][-1] == "tests/ops"
    assert "--continue-on-collection-errors" in asked[0]
    for option, value in (("--device", "cuda"), ("-m", "cuda")):
        assert asked[0][asked[0].index(option) + 1] == value
    with pytest.raises(SystemExit, match="1"):
        gpu_tally.tests(told, "tests/ops")
    monkeypatch.setattr(gpu_tally, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        gpu_tally.tests(told, "tests/ops")
    assert told["tests"].startswith("pytest is not installed; run: ")


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


@pytest.mark.skipif(
    shutil.which("g++") is None and not os.environ.get("CI"),
    reason="g++ is missing: the host's builds need it",
)
def test_kernels_whose_bits_differ_from_the_host_s_are_named(numbers):
    import gpu_sources

    from cuda_sources.all_cases import cases_by_entry
    from cuda_sources.running import check
    from cudashim.hostsim import HostSim

    cases = [each[0] for entry, each in cases_by_entry().items() if entry.startswith("cast_float32")][:2]
    bits = [check(case, HostSim()) for case in cases]
    bits[1] = [b"other" for _ in bits[1]]
    gpu_sources.compare_bits(numbers[0], cases, bits)
    assert numbers[1]() == {
        "kernels whose bits differ from the host's": [cases[1].entry],
        "cases compared with the host": 2,
    }


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


@pytest.fixture
def on_the_cpu(stages, monkeypatch):
    """The measuring stages on small sizes, both libraries being devtensor, and every call taking a while."""
    import gpu_models
    import gpu_numbers
    import gpu_speeds
    import gpu_works

    import devtensor

    for module in (gpu_numbers, gpu_models, gpu_speeds):
        monkeypatch.setattr(module, "is_standin", lambda: True)
    for module in (gpu_works, gpu_models):
        monkeypatch.setattr(module, "DEVICE", "cpu")
    for module in (gpu_speeds, gpu_models):
        monkeypatch.setattr(module, "libraries", lambda: {"devtensor": devtensor, "torch": devtensor})
        monkeypatch.setattr(
            module,
            "interleaved",
            lambda made, rounds=0: {name: bool(run) + 1.0 for name, run in made.items()},
        )
    monkeypatch.setattr(gpu_speeds, "copy_bandwidth", lambda: 2.0)
    return SimpleNamespace(models=gpu_models, works=gpu_works, speeds=gpu_speeds)


@pytest.mark.parametrize("model", ["MLP, width 64", "GPT", "Transformer", "CNN", "MLP, width 1024"])
def test_models_of_the_stages_train(on_the_cpu, model):
    import devtensor

    (name,) = [each for each in on_the_cpu.models.MODELS if each.startswith(model)]
    step = on_the_cpu.models.training(devtensor, name, "float16")
    losses = [step().item() for _ in range(4)]
    assert losses[-1] < losses[0]


def test_work_that_is_timed_runs(on_the_cpu):
    import devtensor

    for name, maker in on_the_cpu.works.MAKERS.items():
        work = maker(devtensor)
        work.run()
        assert work.moved >= 0, name


def test_every_goal_finds_its_number(on_the_cpu, stages, monkeypatch):
    import gpu_goals

    told = {name: {"data": stages.Numbers()} for name in ("benchmarks", "models", "graphs")}
    on_the_cpu.speeds.benchmarks(told["benchmarks"]["data"])
    monkeypatch.setattr(on_the_cpu.models, "trained", lambda *names: on_the_cpu.speeds.beside(
        {"devtensor": 2.0, "torch": 1.0}) | {"fell": True})  # fmt: skip
    on_the_cpu.models.models(told["models"]["data"])
    told["speeds"] = {"data": {f"product {name} TFLOP/s": on_the_cpu.speeds._rates(
        {"devtensor": print, "torch": print}, 8.0) for name in ("float16", "bfloat16")}}  # fmt: skip
    told["graphs"]["data"] |= {"dropout masks that differ from the CPU's": 0, "steps whose loss differs": 2}
    lines = gpu_goals.table(told)
    assert len(lines) == 5 + len(gpu_goals.GOALS) and not any(gpu_goals.MISSING in line for line in lines)
    assert "| dropout masks equal the CPU's | 1 | 1 |" in lines
    assert "| replayed steps equal eager ones | 1 | 0 |" in lines
    assert "| eager step bound by launches | 0.3 | 0.5 |" in lines
    assert f"| softmax, of copy bandwidth | 0.85 | {2 * 64 * 32 * 4 / 2.0 / 1e6 / 2.0:.3f} |" in lines
    assert gpu_goals.table({"speeds": {"data": {}}}) == []
