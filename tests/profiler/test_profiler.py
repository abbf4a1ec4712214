"""Counts, nesting, schedules, tables and traces of the profiler."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest

import devtensor as torch
from devtensor.core.errors import DevtensorError
from devtensor.profiler import ProfilerAction, profile, record_function, schedule, tensorboard_trace_handler


def by_name(averages: Any) -> dict[str, Any]:
    return {each.key: each for each in averages}


def test_ops_are_counted_with_their_shapes() -> None:
    x, w = torch.ones(4, 3), torch.ones(3, 2, requires_grad=True)
    with profile(record_shapes=True, profile_memory=True) as recorded:
        for _ in range(5):
            y = x @ w
        y.exp().sum().backward()
    (x @ w).exp()
    averages = by_name(recorded.key_averages())
    assert averages["devtensor::exp"].count == 1
    assert averages["devtensor::exp"].cpu_memory_usage == 4 * 2 * 4
    assert averages["devtensor::matmul"].count >= 6
    shapes = {each.input_shapes for each in recorded.key_averages(group_by_input_shape=True)}
    assert ((4, 3), (3, 2)) in shapes


def test_times_nest() -> None:
    with profile() as recorded, record_function("outer"):
        time.sleep(0.02)
        with record_function("inner"):
            time.sleep(0.03)
        torch.ones(3).exp()
    averages = by_name(recorded.key_averages())
    outer, inner = averages["outer"], averages["inner"]
    assert inner.cpu_time_total >= 30_000
    assert outer.cpu_time_total >= inner.cpu_time_total + 20_000
    assert 20_000 <= outer.self_cpu_time_total <= outer.cpu_time_total - inner.cpu_time_total
    total = recorded.key_averages().total_average()
    assert abs(total.self_cpu_time_total - outer.cpu_time_total) < 1


def test_record_function_decorates_and_needs_no_profiler() -> None:
    @record_function("work")
    def work(depth: int) -> int:
        return 1 if not depth else 1 + work(depth - 1)

    assert work(2) == 3
    with profile() as recorded:
        assert work(2) == 3
    assert by_name(recorded.key_averages())["work"].count == 3


def test_tables_are_sorted() -> None:
    with profile() as recorded:
        for _ in range(3):
            torch.ones(2).exp()
        torch.ones(2).sin()
    table = recorded.key_averages().table(sort_by="count", row_limit=2, header="ops")
    lines = table.splitlines()
    assert lines[0] == "ops"
    assert "CPU time avg" in lines[1]
    assert lines[3].split()[5] >= lines[4].split()[5]
    assert lines[-1].startswith("Self CPU time total")
    with pytest.raises(DevtensorError, match="sort_by"):
        recorded.key_averages().table(sort_by="speed")


def test_schedules() -> None:
    action = schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
    names = [action(step).name for step in range(11)]
    cycle = ["NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE"]
    assert names == ["NONE", *cycle, *cycle, "NONE", "NONE"]
    with pytest.warns(UserWarning, match="won't be using warmup"):
        at_once = schedule(wait=2, warmup=0, active=1, skip_first_wait=1)
    assert at_once(0) is ProfilerAction.RECORD_AND_SAVE
    with pytest.raises(AssertionError, match="must be non-negative"):
        at_once(-1)
    with pytest.raises(AssertionError, match="No valid profiler activities"):
        profile(activities=[])
    with pytest.raises(AssertionError, match="active above 0"):
        schedule(wait=0, warmup=0, active=0)


def test_scheduled_traces_hold_the_active_steps_alone() -> None:
    counts = []

    def ready(recorded: Any) -> None:
        counts.append(by_name(recorded.key_averages())["devtensor::exp"].count)

    with profile(schedule=schedule(wait=1, warmup=1, active=2), on_trace_ready=ready) as recorded:
        for step in range(8):
            for _ in range(step + 1):
                torch.ones(1).exp()
            recorded.step()
    assert counts == [3 + 4, 7 + 8]


def test_traces_are_files_for_a_browser(tmp_path: Path) -> None:
    with profile(
        record_shapes=True, on_trace_ready=tensorboard_trace_handler(str(tmp_path), "me", True)
    ) as recorded:
        torch.ones(2, 3).exp()
    recorded.export_chrome_trace(tmp_path / "trace.json")
    (packed,) = tmp_path.glob("me.*.pt.trace.json.gz")
    for text in ((tmp_path / "trace.json").read_text(), gzip.decompress(packed.read_bytes()).decode()):
        spans = {span["name"]: span for span in json.loads(text)["traceEvents"]}
        assert spans["devtensor::exp"]["args"]["Input Dims"] == [[2, 3]]
        assert spans["devtensor::exp"]["dur"] > 0


def test_nothing_recorded_is_told() -> None:
    with pytest.raises(DevtensorError, match="not initialized"):
        profile().key_averages()


def test_results_stay_the_same() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3)
    layer = torch.nn.Linear(3, 2)
    plain = layer(x)
    with profile(with_stack=True) as recorded:
        profiled = layer(x)
    assert profiled.tolist() == plain.tolist()
    assert recorded.events()
    assert any("test_profiler" in line for line in recorded.events()[0].stack)


def test_the_older_spelling(tmp_path: Path) -> None:
    older = torch.autograd.profiler
    with older.profile(record_shapes=True) as recorded, older.record_function("block"):
        torch.ones(2).exp()
    assert {"block", "devtensor::exp"} <= {event.name for event in recorded.function_events}
    assert recorded.self_cpu_time_total > 0
    assert "block" in recorded.table(sort_by="cpu_time_total")
    recorded.export_chrome_trace(tmp_path / "trace.json")
    assert (tmp_path / "trace.json").stat().st_size
    with older.profile(enabled=False) as off:
        torch.ones(2).exp()
    with pytest.raises(DevtensorError, match="not initialized"):
        off.key_averages()


def test_ranges_around_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(torch.cuda.nvtx, "range_push", told.append)
    with torch.autograd.profiler.emit_nvtx(record_shapes=True):
        torch.ones(2, 3).exp()
    torch.ones(2).exp()
    with torch.autograd.profiler.emit_nvtx(enabled=False):
        torch.ones(2).exp()
    assert [name for name in told if name.startswith("exp")] == ["exp, sizes = [[2, 3]]"]
