"""The recorded strides, and PyTorch's: an optional run (--oracle torch)."""

from __future__ import annotations

from core.test_placement import CASES, strides


def test_the_recorded_strides_are_those_of_pytorch(torch):
    wrong = {text: found for text in CASES if (found := strides(torch, text)) != CASES[text]}
    assert not wrong
