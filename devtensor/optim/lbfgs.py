"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from devtensor.core.errors import OptionError
from devtensor.core.state import enable_grad, no_grad
from devtensor.functions.creation import zeros
from devtensor.ops.join import cat
from devtensor.ops.parts import view_as_real
from devtensor.optim.line_search import Point, StrongWolfe
from devtensor.optim.subclassing import _to_scalar
from devtensor.optim.update_rule import UpdateRule

# What the state keeps between steps.
KEPT = ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")


class LBFGS(UpdateRule):
    """Quasi-Newton steps from the last `history_size` changes of parameters and gradient.

    `step(closure)` makes up to `max_iter` iterations, each of which calls the closure, at most `max_eval`
    times in all (by default 5/4 of max_iter). It ends when no gradient element exceeds `tolerance_grad` or
    nothing changes by more than `tolerance_change`. `line_search_fn` is None for steps of lr, or
    "strong_wolfe". All parameters are one group. Numbers are read on the host, so a step cannot be captured.

    Source: Nocedal & Wright 2006, algorithm 7.4; the first step is scaled by 1 / |g|_1, as in PyTorch.
    """

    defaults: Mapping[str, Any] = dict(
        lr=1,
        max_iter=20,
        max_eval=None,
        tolerance_grad=1e-7,
        tolerance_change=1e-9,
        history_size=100,
        line_search_fn=None,
    )
    settings: Mapping[str, Any] = {}

    def __init__(self, params: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(params, *args, **kwargs)
        self.refuse(
            len(self.param_groups) != 1, "LBFGS doesn't support per-parameter options (parameter groups)"
        )
        groups: tuple[Any, ...] = (self.defaults, self.param_groups[0])
        for values in groups:
            if values["max_eval"] is None:
                values["max_eval"] = values["max_iter"] * 5 // 4

    @property
    def _params(self) -> list[Any]:
        return self.param_groups[0]["params"]

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Iterate; gives the loss of the closure's first call."""
        with no_grad():
            return self._step(enable_grad()(closure))

    def _step(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first = closure()
        loss, g, calls = float(first), self._gather_flat_grad(), 1
        state["func_evals"] += 1
        if g.abs().max() <= group["tolerance_grad"]:
            return first
        known = {name: state.get(name) for name in KEPT}
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            beginning = state["n_iter"] == 1
            self._turn(known, g, beginning)
            known["prev_loss"] = loss
            lr = _to_scalar(group["lr"])
            known["t"] = min(1.0, 1.0 / g.abs().sum()) * lr if beginning else lr
            slope = g.dot(known["d"])
            if slope > -group["tolerance_change"]:
                break
            last = iteration == group["max_iter"]
            loss, g, more = self._advance(closure, known, Point(0, loss, g, slope), calls, last)
            calls += more
            state["func_evals"] += more
            if last or calls >= group["max_eval"] or self._settled(known, loss, g):
                break
        state.update(known)
        return first

    def _settled(self, known: dict[str, Any], loss: float, g: Any) -> bool:
        """Whether the gradient is small enough, or the last step changed nothing to speak of."""
        group = self.param_groups[0]
        return bool(
            g.abs().max() <= group["tolerance_grad"]
            or (known["d"] * known["t"]).abs().max() <= group["tolerance_change"]
            or abs(loss - known["prev_loss"]) < group["tolerance_change"]
        )

    def _turn(self, known: dict[str, Any], g: Any, beginning: bool) -> None:
        """The next direction, by the two loops over the changes that are remembered."""
        if beginning:
            known.update(d=-g, old_dirs=[], old_stps=[], ro=[], H_diag=1)
        else:
            self._remember(known, g)
            size = self.param_groups[0]["history_size"]
            weights = self.state[self._params[0]].setdefault("al", [None] * size)
            history = list(zip(known["old_dirs"], known["old_stps"], known["ro"], strict=True))
            d = -g
            for place, (change, stride, rho) in reversed(list(enumerate(history))):
                weights[place] = stride.dot(d) * rho
                d.sub_(change * weights[place])
            d = d * known["H_diag"]
            for place, (change, stride, rho) in enumerate(history):
                d.add_(stride * (weights[place] - change.dot(d) * rho))
            known["d"] = d
        known["prev_flat_grad"] = g.clone()

    def _remember(self, known: dict[str, Any], g: Any) -> None:
        """Note how the last step changed parameters and gradient, if the curvature along it is positive."""
        change, stride = g - known["prev_flat_grad"], known["d"] * known["t"]
        curvature = change.dot(stride)
        if not curvature > 1e-10:
            return
        for name, value in (("old_dirs", change), ("old_stps", stride), ("ro", 1.0 / curvature)):
            known[name].append(value)
            del known[name][: -self.param_groups[0]["history_size"]]
        known["H_diag"] = curvature / change.dot(change)

    def _advance(
        self, closure: Callable, known: dict[str, Any], start: Point, calls: int, last: bool
    ) -> tuple[float, Any, int]:
        """Go along the direction; gives loss and gradient there, and how often the closure was called."""
        group, d = self.param_groups[0], known["d"]
        if group["line_search_fn"] is None:
            self._add_grad(known["t"], d)
            if last:
                return start.f, start.g, 0
            return float(closure()), self._gather_flat_grad(), 1
        if group["line_search_fn"] != "strong_wolfe":
            raise OptionError(
                f"[LBFGS] only 'strong_wolfe' is supported; line_search_fn is {group['line_search_fn']!r}"
            )
        places = [p.clone() for p in self._params]
        looks = 0

        def look(t: Any) -> Point:
            nonlocal looks
            looks += 1
            self._add_grad(t, d)
            loss, g = float(closure()), self._gather_flat_grad()
            for p, place in zip(self._params, places, strict=True):
                p.copy_(place)
            return Point(t, loss, g, g.dot(d))

        search = StrongWolfe(look, start, d.abs().max(), 1e-9, group["max_eval"] - calls)
        found = search.run(known["t"])
        known["t"] = found.t
        self._add_grad(found.t, d)
        return found.f, found.g, looks

    def _numel(self) -> int:
        return sum(p.numel() * (2 if p.is_complex() else 1) for p in self._params)

    def _gather_flat_grad(self) -> Any:
        """All gradients in one row, zeros for those that are missing."""
        rows = []
        for p in self._params:
            g = zeros(p.shape, dtype=p.dtype, device=p.device) if p.grad is None else p.grad
            rows.append((view_as_real(g) if g.is_complex() else g).reshape(-1))
        return cat(*rows)

    def _add_grad(self, step_size: Any, update: Any) -> None:
        """Move the parameters along a direction."""
        offset = 0
        for p in self._params:
            parts = view_as_real(p) if p.is_complex() else p
            count = parts.numel()
            parts.add_(update[offset : offset + count].view(parts.shape) * step_size)
            offset += count
