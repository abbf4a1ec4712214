"""Recurrent layers, forward and backward: by kernels, by their bodies, and PyTorch's if it is there."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable
from typing import Any

from measure import interleaved, options, report

import devtensor
from devtensor.nn.functional import recurrent

try:
    import torch
except ImportError:
    torch = None
else:
    torch.set_num_threads(1)

KINDS = ("LSTM", "GRU", "RNN")
# Steps, sequences, numbers in an input and in a state.
SIZES = ((64, 32, 128, 256), (64, 32, 64, 64), (100, 1, 32, 32))
OPS = ("lstm_layer", "gru_layer", "rnn_layer")


def training_step(library: Any, kind: str, size: tuple[int, ...]) -> Callable[[], None]:
    """Forward and backward of one layer."""
    steps, batch, inputs, states = size
    layer = getattr(library.nn, kind)(inputs, states)
    x = library.randn(steps, batch, inputs).requires_grad_()

    def step() -> None:
        layer(x)[0].sum().backward()

    return step


def by_the_bodies(step: Callable[[], None]) -> Callable[[], None]:
    """The step without the layers' kernels and formulas."""

    def slow() -> None:
        kept = {name: getattr(recurrent, name) for name in OPS}
        for name, op in kept.items():
            setattr(recurrent, name, op.op.body)
        try:
            step()
        finally:
            for name, op in kept.items():
                setattr(recurrent, name, op)

    return slow


def main() -> None:
    given = options(__doc__ or "")
    rows = []
    for kind in KINDS:
        for size in SIZES:
            step = training_step(devtensor, kind, size)
            candidates = {"devtensor ms": step, "by the body ms": by_the_bodies(step)}
            if torch is not None:
                candidates["PyTorch ms"] = training_step(torch, kind, size)
            seconds = interleaved(candidates, given.rounds, 1)
            named = dict(zip(("steps", "sequences", "inputs", "states"), size, strict=True))
            rows.append({"layer": kind} | named | {k: round(v * 1e3, 2) for k, v in seconds.items()})
    report(rows, given.out)


if __name__ == "__main__":
    main()
