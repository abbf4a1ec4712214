"""ci/gpu_check.py loses nothing to a limit, names what it did not reach, and says so if there is no GPU."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TELL = "import json, os; json.dump({}, open(os.environ['DEVTENSOR_STAGE_RESULT'], 'w'));"
DEAF = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
JUNIT = """<testsuites><testsuite><testcase classname="ops.a" name="good"/>
<testcase classname="ops.a" name="bad"><failure/></testcase>
<testcase classname="b" name="broken"><error/></testcase>
<testcase classname="b" name="passed_over"><skipped/></testcase></testsuite></testsuites>"""


@pytest.fixture
def check(monkeypatch):
    """The module, in a hurry."""
    monkeypatch.syspath_prepend(str(ROOT / "ci"))
    import gpu_check

    monkeypatch.setattr(gpu_check, "LEAST", 0.5)
    monkeypatch.setattr(gpu_check, "GRACE", 1.0)
    return gpu_check


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


def test_numbers_are_written_as_they_come(stages, monkeypatch, tmp_path):
    monkeypatch.setenv("DEVTENSOR_STAGE_RESULT", str(tmp_path / "numbers.json"))
    told = stages.Numbers()
    told["a"] = 1
    assert json.loads((tmp_path / "numbers.json").read_text()) == {"a": 1}
    told["b"] = [2]
    assert json.loads((tmp_path / "numbers.json").read_text()) == {"a": 1, "b": [2]}


def test_a_report_of_tests_is_counted(stages, tmp_path):
    (tmp_path / "suite.xml").write_text(JUNIT)
    assert stages.counted(tmp_path / "suite.xml") == {
        "ran": 4, "skipped": 1, "failed": 2, "names": ["ops.a::bad", "b::broken"],
    }  # fmt: skip


def test_the_training_of_the_stages_learns(stages):
    losses = stages.train("cpu", 12)
    assert losses[-1] < losses[0]
