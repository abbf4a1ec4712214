"""results.json of gpu_check.py for readers."""

from __future__ import annotations

from typing import Any

from gpu_goals import table


def report(told: dict[str, Any]) -> str:
    """A page of Markdown."""
    lines = [f"# GPU check, {told['date']}", ""]
    if told["problem"]:
        lines += [f"**No GPU could be checked: {told['problem']}**", ""]
    lines += [f"- {line}" for line in told["advice"]]
    lines += ["", "| stage | state | seconds | limit |", "|---|---|---|---|"]
    for name, each in told["stages"].items():
        lines.append(f"| {name} | {each['state']} | {each['seconds']} | {each['limit']} |")
    if told["not_reached"]:
        lines += ["", f"Not reached: {', '.join(told['not_reached'])}."]
    lines += table(told["stages"])
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
