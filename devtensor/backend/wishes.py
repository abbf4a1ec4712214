"""What a user asks of every backend's kernels; whoever may differ reads it at each call."""

from __future__ import annotations


class Wishes:
    """`deterministic`: the same inputs give the same bits every time, at whatever cost."""

    deterministic = False


wishes = Wishes()
