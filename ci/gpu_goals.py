"""What the numbers of gpu_check.py should be: each goal, and where its number stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MISSING = "not measured"


@dataclass(frozen=True)
class Goal:
    """A measure, the least that it should be, and how it is had from what the stages told."""

    measure: str
    least: float
    reached: Callable[[dict[str, Any]], Any]


def at(*path: str) -> Callable[[dict[str, Any]], Any]:
    """The number that stands in a stage under these names; KeyError or TypeError if it does not."""

    def reached(stages: dict[str, Any]) -> Any:
        found = stages[path[0]]["data"]
        for name in path[1:]:
            found = found[name]
        return found

    return reached


def halves_beside_bfloat16(stages: dict[str, Any]) -> float:
    """How fast a step in float16 with a scaled loss is beside one in bfloat16."""
    steps = stages["models"]["data"]
    model = "Transformer, 4 layers of 256"
    return round(steps[f"{model}, bfloat16"]["devtensor ms"] / steps[f"{model}, float16"]["devtensor ms"], 3)


def none_of(*path: str) -> Callable[[dict[str, Any]], Any]:
    """1 if a count is 0."""
    return lambda stages: int(at(*path)(stages) == 0)


BESIDE_TORCH = "torch / devtensor"
GPT = "GPT, 12 layers of 768, bfloat16"
GOALS = (
    Goal("addition, of copy bandwidth", 0.90, at("benchmarks", "add", "of copy")),
    Goal("softmax, of copy bandwidth", 0.85, at("benchmarks", "softmax", "of copy")),
    Goal("layer norm, of copy bandwidth", 0.85, at("benchmarks", "layer norm", "of copy")),
    Goal("AdamW, 124M parameters, beside PyTorch's fused", 1.0, at("benchmarks", "AdamW", BESIDE_TORCH)),
    Goal("product 8192, float16", 0.97, at("speeds", "product float16 TFLOP/s", "devtensor / torch")),
    Goal("product 8192, bfloat16", 0.97, at("speeds", "product bfloat16 TFLOP/s", "devtensor / torch")),
    Goal("batched product of halves", 0.95, at("benchmarks", "batched product of halves", BESIDE_TORCH)),
    Goal("Linear + GELU and back, bfloat16", 1.05, at("benchmarks", "linear, gelu, and back", BESIDE_TORCH)),
    Goal("causal attention and back, float16", 0.40, at("benchmarks", "attention, and back", BESIDE_TORCH)),
    Goal("convolution 3x3 and back, float16", 0.20, at("benchmarks", "convolution, and back", BESIDE_TORCH)),
    Goal("eager step bound by launches", 0.30, at("models", "MLP, width 64, float32", BESIDE_TORCH)),
    Goal("eager step of a GPT-2, bfloat16", 1.1, at("models", GPT, BESIDE_TORCH)),
    Goal("float16 with scaling beside bfloat16", 0.97, halves_beside_bfloat16),
    Goal("dropout masks equal the CPU's", 1, none_of("graphs", "dropout masks that differ from the CPU's")),
    Goal("replayed steps equal eager ones", 1, none_of("graphs", "steps whose loss differs")),
)  # fmt: skip


def table(stages: dict[str, Any]) -> list[str]:
    """The goals as a table, with what was reached; nothing if none was measured."""
    rows = []
    for goal in GOALS:
        try:
            reached = goal.reached(stages)
        except (KeyError, TypeError):
            reached = MISSING
        rows.append((goal, reached))
    if all(reached == MISSING for _, reached in rows):
        return []
    lines = ["", "## Goals, as ratios of this run", "", "| measure | least | reached |", "|---|---|---|"]
    return lines + [f"| {goal.measure} | {goal.least} | {reached} |" for goal, reached in rows]
