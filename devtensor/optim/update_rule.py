"""UpdateRule: what turns an optimizer's mathematics into an optimizer."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any

from devtensor.amp.masked_writes import masked_writes
from devtensor.core.errors import ArgumentError, ArgumentTypeError, OptionError
from devtensor.core.feed import depend
from devtensor.core.lists import grouped
from devtensor.core.state import enable_grad, set_grad_enabled
from devtensor.core.tensor import Tensor
from devtensor.functions.creation import full
from devtensor.ops.parts import view_as_real
from devtensor.optim.hyperparameters import Hyperparameters, refuse_bad_numbers
from devtensor.optim.optimizer import Optimizer
from devtensor.optim.subclassing import _device_dtype_check_for_fused, _get_scalar_dtype, _to_scalar

# What most optimizers can be asked for. `maximize` climbs instead of descending, `differentiable` lets
# autograd see the step, and `fused` takes scale and flag from a GradScaler; beyond that the others choose
# among PyTorch's implementations and change nothing, since a kernel for all parameters is taken where it can.
SETTINGS: dict[str, Any] = {
    "maximize": False,
    "foreach": None,
    "capturable": False,
    "differentiable": False,
    "fused": None,
}

# Name in the state -> what makes its first value from the parameter; None where the parameter has none.
Slots = Mapping[str, Callable[[Any], Any]]


def settings(names: str) -> dict[str, Any]:
    """These of SETTINGS, in this order."""
    return {name: SETTINGS[name] for name in names.split()}


def number(value: float, p: Any) -> Tensor:
    """A number that the state of parameter `p` keeps."""
    return full((), value, dtype=_get_scalar_dtype(), device=p.device)


def no_steps(p: Any) -> Tensor:
    """A step count for parameter `p`."""
    return number(0.0, p)


def _generation(optimizer: weakref.ref[UpdateRule]) -> int | None:
    """How often the optimizer's groups and state were replaced; None when it is gone."""
    found = optimizer()
    return None if found is None else found._generation


class UpdateRule(Optimizer):
    """An optimizer that writes only its mathematics.

    A subclass states `defaults` (hyperparameters in the order of its arguments), `settings` (keyword-only
    ones), `fixed` (what groups hold beside them), `written` (in which order groups hold them, where it is
    another), `unchecked` (those that may be below 0 here, or no number), `slots` (name in the state -> what
    makes its first value from the parameter, a constant; "step" is counted up by itself), and `update`.
    """

    # The same step over lists of tensors, for which devices may have a kernel.
    list_op: Any = None
    real_only: bool = False

    defaults: Mapping[str, Any] = {}
    settings: Mapping[str, Any] = SETTINGS
    fixed: Mapping[str, Any] = {}
    written: str = ""
    unchecked: tuple[str, ...] = ()
    slots: Mapping[str, Any] = {}

    def __init__(self, params: Any, *args: Any, **kwargs: Any) -> None:
        names = list(type(self).defaults)
        if len(args) > len(names):
            raise ArgumentTypeError(
                f"[{type(self).__name__}] got {len(args)} arguments; it takes {', '.join(names)}"
            )
        given = dict(zip(names, args, strict=False))
        known = {**type(self).defaults, **self.settings}
        for name, value in kwargs.items():
            if name not in known or name in given:
                what = "is given twice" if name in given else f"is unknown; it takes {', '.join(known)}"
                raise ArgumentTypeError(f"[{type(self).__name__}] argument {name!r} {what}")
            given[name] = value
        values = {**known, **given, **self.fixed}
        self.check(values)
        if "betas" in values:
            values["betas"] = tuple(_to_scalar(beta) for beta in values["betas"])
        super().__init__(params, {name: values[name] for name in self.written.split() or values})
        if values.get("fused"):
            self._step_supports_amp_scaling = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        kinds = inspect.Parameter
        if all(
            p.kind is not kinds.VAR_POSITIONAL for p in inspect.signature(cls.__init__).parameters.values()
        ):
            # A signature written out speaks for itself.
            cls.__signature__ = None  # type: ignore[attr-defined]
            return
        parameters = [kinds("params", kinds.POSITIONAL_OR_KEYWORD)]
        parameters += [kinds(n, kinds.POSITIONAL_OR_KEYWORD, default=v) for n, v in cls.defaults.items()]
        parameters += [kinds(n, kinds.KEYWORD_ONLY, default=v) for n, v in cls.settings.items()]
        cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]

    def check(self, values: Mapping[str, Any]) -> None:
        """Refuse hyperparameters that make no sense; a subclass adds its own."""
        checked = {name: value for name, value in values.items() if name not in self.unchecked}
        refuse_bad_numbers(type(self).__name__, checked)

    def refuse(self, wrong: Any, text: str) -> None:
        """Raise ArgumentError with this text if something is wrong."""
        if wrong:
            raise ArgumentError(f"[{type(self).__name__}] {text}")

    def slots_of(self, group: dict[str, Any]) -> Slots:
        """The state that parameters of this group have; a subclass may let hyperparameters decide."""
        return self.slots

    def factors(self, h: Any) -> tuple[Any, ...]:
        """Numbers that follow from the hyperparameters and `h.t` alone; `update` finds them as `h.factors`,
        in float64 for parameters of double precision, else in float32."""
        return ()

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        """The step to subtract from parameter `p`, given its gradient `g`, state `s` and hyperparameters `h`.

        It must leave `g` alone; state is changed in place. Complex numbers come as pairs of real ones.
        """
        raise NotImplementedError(f"[{type(self).__name__}] has no update; write the rule there")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient; `closure` computes the loss anew and returns it."""
        loss = None
        depend(partial(_generation, weakref.ref(self)))
        with set_grad_enabled(bool(self.defaults.get("differentiable"))):
            if closure is not None:
                with enable_grad():
                    loss = closure()
            with self._masked():
                for group in self.param_groups:
                    self._step_group(group)
        return loss

    def _masked(self) -> AbstractContextManager[Any]:
        """What keeps a step from having effects where a GradScaler has left its flag to the optimizer."""
        found = getattr(self, "found_inf", None)
        return masked_writes(found) if isinstance(found, Tensor) else nullcontext()

    def _step_group(self, group: dict[str, Any]) -> None:
        """Update a group's parameters, those of one device and dtype by one kernel where there is one."""
        h = Hyperparameters(group, self.factors)
        slots = self.slots_of(group)
        found = [(p, g) for p in group["params"] if (g := p.grad) is not None]
        for p, _ in found:
            self._check_parameter(p, group)
        states = [self._begun(p, slots) if slots else {} for p, _ in found]
        op = self.list_op if self.list_op is not None and self.list_op.serves(self) else None
        scale = getattr(self, "grad_scale", None)
        for kind, (ps, gs, kept) in grouped([p for p, _ in found], [g for _, g in found], states):
            factor = None if scale is None else scale.to(kind.device)
            if op is None or h.differentiable or not op.stepped(ps, gs, kept, slots, h, factor):
                for p, g, state in zip(ps, gs, kept, strict=True):
                    self.advance(p, g, state, h, factor)

    def _check_parameter(self, p: Any, group: dict[str, Any]) -> None:
        """Refuse a parameter that the rule cannot step.

        Errors: OptionError.
        """
        name = type(self).__name__
        if self.real_only and p.is_complex():
            raise OptionError(f"[{name}] {name} does not support complex parameters; one has {p.dtype}")
        if group.get("fused"):
            _device_dtype_check_for_fused(p)

    def advance(self, p: Any, g: Any, state: dict[str, Any], h: Any, scale: Any = None) -> None:
        """Update one parameter and its state; `scale` divides its gradient first, for good."""
        if scale is not None:
            g.div_(scale)
        if h.differentiable:
            # What autograd has kept of the old state must stay as it was.
            state.update({name: value.clone() for name, value in state.items()})
        s = SimpleNamespace(**state)
        if "step" in state:
            s.step.add_(1)
            h.count(s.step, p.dtype)
        if h.maximize:
            g = -g
        if p.is_complex():
            p, g = view_as_real(p), view_as_real(g)
            for name, value in state.items():
                if value.is_complex():
                    setattr(s, name, view_as_real(value))
        step = self.update(p, g, s, h)
        if step is not None:
            p.sub_(step)

    def _begun(self, p: Any, slots: Slots) -> dict[str, Any]:
        """The state of a parameter, with what is missing in it."""
        state = self.state[p]
        for name, born in slots.items():
            if name not in state:
                first = born(p)
                if first is not None:
                    state[name] = first
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a state; what older versions of PyTorch did not save, or saved as plain numbers, is made
        up for."""
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in {**type(self).defaults, **self.settings}.items():
                group.setdefault(name, value)
            group.update(self.fixed)
            for p in group["params"]:
                kept = self.state.get(p, {})
                for name in self.slots_of(group):
                    if isinstance(kept.get(name), (int, float)):
                        kept[name] = number(float(kept[name]), p)
