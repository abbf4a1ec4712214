"""Adafactor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devtensor.functions.creation import zeros, zeros_like
from devtensor.functions.settings import finfo
from devtensor.ops.combine import minimum
from devtensor.optim.hyperparameters import pair_of
from devtensor.optim.update_rule import UpdateRule, no_steps, settings


def _means(p: Any, dim: int) -> Any:
    """Zeros in place of a dim of a parameter of several; other parameters have none."""
    if p.ndim < 2:
        return None
    shape = list(p.shape)
    shape[dim] = 1
    return zeros(shape, dtype=p.dtype, device=p.device)


class Adafactor(UpdateRule):
    """Steps relative to the parameter's size, with mean squares kept by rows and columns only.

    v of a matrix is R C / mean(R), R and C being running means of g^2 along rows and columns, of a vector the
    running mean itself; new squares weigh t^beta2_decay. u = g / sqrt(max(v, eps1^2)) is divided by
    max(1, rms(u) / d), and p <- p - max(eps2, rms(p)) min(lr, 1 / sqrt(t)) u. `eps` is (eps1, eps2), eps1
    None for that of the dtype. `weight_decay` first shrinks p by the part lr * weight_decay.

    Source: Shazeer & Stern 2018, algorithms 4 and 5, with the learning rate as the upper end of the relative
    step, as in PyTorch.
    """

    defaults: Mapping[str, Any] = dict(lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0)
    settings: Mapping[str, Any] = settings("foreach maximize")
    unchecked = ("eps",)
    real_only = True
    slots: Mapping[str, Any] = dict(
        step=no_steps,
        row_var=lambda p: _means(p, -1),
        col_var=lambda p: _means(p, -2),
        variance=lambda p: zeros_like(p) if p.ndim < 2 else None,
    )

    def check(self, values: Mapping[str, Any]) -> None:
        super().check(values)
        decay, (eps1, eps2), d = (
            values["beta2_decay"],
            pair_of("Adafactor", "eps", values["eps"]),
            values["d"],
        )
        self.refuse(not decay <= 0, f"beta2_decay should be <= 0 but is: {decay}")
        self.refuse(eps1 is not None and not eps1 >= 0, f"epsilon1 should be >= 0 but is: {eps1}")
        self.refuse(not eps2 >= 0, f"epsilon2 should be >= 0 but is: {eps2}")
        self.refuse(not d >= 1, f"Clipping threshold d should be >= 1 but is: {d}")

    def factors(self, h: Any) -> tuple[Any, ...]:
        """The weight of new squares, and the relative step."""
        return h.t**h.beta2_decay, minimum(h.t**-0.5, h.t * 0 + h.lr)

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        (eps1, eps2), (weight, relative) = h.eps, h.factors
        eps1 = finfo(p.dtype).eps if eps1 is None else eps1
        length = _rms(p).clamp(min=eps2) * relative
        if h.weight_decay:
            p.mul_(1 - h.lr * h.weight_decay)
        squares = g * g
        if g.ndim > 1:
            s.row_var.add_((squares.mean(-1, keepdim=True) - s.row_var) * weight)
            s.col_var.add_((squares.mean(-2, keepdim=True) - s.col_var) * weight)
            mean = s.row_var.mean(-2, keepdim=True).clamp(min=eps1)
            estimate = (s.row_var @ s.col_var) / mean
        else:
            s.variance.add_((squares - s.variance) * weight)
            estimate = s.variance
        u = g * estimate.clamp(min=eps1 * eps1).rsqrt()
        return u * (length / (_rms(u) / h.d).clamp(min=1.0))


def _rms(x: Any) -> Any:
    """The root of the mean square."""
    return x.norm(2) / x.numel() ** 0.5
