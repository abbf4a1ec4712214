"""Muon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devtensor.core.dtype import bfloat16, float32
from devtensor.core.errors import ArgumentError
from devtensor.functions.creation import zeros_like
from devtensor.ops.create import cast
from devtensor.optim.update_rule import UpdateRule

EPS = 1e-7
DEFAULT_A, DEFAULT_B, DEFAULT_C = 3.4445, -4.7750, 2.0315
DEFAULT_NS_STEPS = 5


class Muon(UpdateRule):
    """Steps along the momentum with all its singular values brought near one; for matrices.

    m <- momentum m + (1 - momentum) g;  u = NewtonSchulz(m), or with `nesterov` of momentum m + (1 -
    momentum) g; p <- p (1 - lr weight_decay) - lr k u, where k is sqrt(max(1, rows / columns)) or, for
    adjust_lr_fn="match_rms_adamw", 0.2 sqrt(max(rows, columns)).

    Source: Jordan et al. 2024; Liu et al. 2025 for the second k. The iteration runs in bfloat16.
    """

    defaults: Mapping[str, Any] = dict(
        lr=1e-3,
        weight_decay=0.1,
        momentum=0.95,
        nesterov=True,
        ns_coefficients=(DEFAULT_A, DEFAULT_B, DEFAULT_C),
        eps=EPS,
        ns_steps=DEFAULT_NS_STEPS,
        adjust_lr_fn=None,
    )
    settings: Mapping[str, Any] = {}
    unchecked = ("eps",)
    slots: Mapping[str, Any] = dict(momentum_buffer=zeros_like)
    real_only = True

    def __init__(self, params: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(params, *args, **kwargs)
        for p in self._parameters():
            self.refuse(
                p.ndim != 2,
                f"Muon only supports 2D parameters whereas we found a parameter with size: {p.size()}",
            )

    def check(self, values: Mapping[str, Any]) -> None:
        super().check(values)
        name = values["adjust_lr_fn"]
        self.refuse(
            name not in (None, "original", "match_rms_adamw"),
            f"Adjust learning rate function {name} is not supported; use 'original' or 'match_rms_adamw'",
        )

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        s.momentum_buffer.add_((g - s.momentum_buffer).mul_(1 - h.momentum))
        mean = s.momentum_buffer
        u = g + (mean - g) * h.momentum if h.nesterov else mean
        u = cast(_zeropower_via_newtonschulz(u, h.ns_coefficients, h.ns_steps, h.eps), p.dtype)
        p.mul_(1 - h.lr * h.weight_decay)
        return u * (h.lr * _adjusted(h.adjust_lr_fn, *p.shape))


def _adjusted(name: str | None, rows: int, columns: int) -> float:
    """What the learning rate is multiplied by for a matrix of this size."""
    if name == "match_rms_adamw":
        return 0.2 * max(rows, columns) ** 0.5
    return max(1.0, rows / columns) ** 0.5


def _zeropower_via_newtonschulz(
    grad: Any, ns_coefficients: tuple[float, float, float], ns_steps: int, eps: float
) -> Any:
    """The matrix with its singular values brought near one, by the iteration X <- a X + (b A + c A A) X with
    A = X X^T, rounded to bfloat16 throughout.

    Errors: ArgumentError for other than matrices, three coefficients and fewer than 100 steps.
    """
    if ns_steps >= 100:
        raise ArgumentError(
            f"[Muon] Number of steps must be less than 100 for computational efficiency; got {ns_steps}"
        )
    if grad.ndim != 2:
        raise ArgumentError(f"[Muon] Input tensor gradient must be a 2D matrix; it has shape {grad.shape}")
    if len(ns_coefficients) != 3:
        raise ArgumentError(
            f"[Muon] Coefficients must be a tuple of exactly 3 values; got {len(ns_coefficients)}"
        )
    a, b, c = ns_coefficients
    tall = grad.shape[0] > grad.shape[1]
    x = _rounded(grad.T if tall else grad)
    x = _rounded(x / _rounded(x.norm()).clamp(min=eps))
    for _ in range(ns_steps):
        gram = _rounded(x @ x.T)
        polynomial = _rounded(gram * b + (gram @ gram) * c)
        x = _rounded(x * a + polynomial @ x)
    return x.T if tall else x


def _rounded(x: Any) -> Any:
    """Numbers rounded to bfloat16, in float32: sums of products are rounded once, as hardware does."""
    return cast(cast(x, bfloat16), float32)
