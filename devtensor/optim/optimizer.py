"""Optimizer: parameter groups, state, hooks and state_dict, by PyTorch's protocol."""

from __future__ import annotations

# ruff: noqa: F401 - PyTorch offers here what authors of optimizers use
import copy
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.tensor import Tensor
from devtensor.optim.hooks import (
    Hooked,
    _global_optimizer_post_hooks,
    _global_optimizer_pre_hooks,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from devtensor.optim.subclassing import (
    DeviceDict,
    DeviceDtypeDict,
    _capturable_doc,
    _default_to_fused_or_foreach,
    _device_dtype_check_for_fused,
    _differentiable_doc,
    _disable_dynamo_if_unsupported,
    _dispatch_sqrt,
    _foreach_doc,
    _fused_doc,
    _get_capturable_supported_devices,
    _get_scalar_dtype,
    _get_value,
    _maximize_doc,
    _params_doc,
    _RequiredParameter,
    _stack_if_compiling,
    _to_scalar,
    _use_grad_for_differentiable,
    _view_as_real,
    required,
)

ParamsT = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]


class Optimizer(Hooked):
    """Base of all optimizers: `params` in groups, each with its hyperparameters.

    A subclass calls `super().__init__(params, defaults)` and writes `step`, with `self.param_groups` and
    `self.state[p]` at hand, as for PyTorch; or it is an `UpdateRule` and writes only its mathematics.

    Errors: ArgumentTypeError if params holds no Tensors, ArgumentError if it is empty or a parameter stands
    in two groups.
    """

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._start_hooks()
        self._patch_step_function()
        if isinstance(params, Tensor):
            raise ArgumentTypeError(
                "[optimizer] params argument given to the optimizer should be an iterable of Tensors or "
                "dicts, but got a Tensor; put it in a list"
            )
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        # Raised when groups or state are replaced: a captured step that holds the old ones is learnt anew.
        self._generation = 0
        groups: list[Any] = list(params)
        if not groups:
            raise ArgumentError(
                "[optimizer] optimizer got an empty parameter list; give at least one parameter"
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = cls.profile_hook_step(cls.step)  # type: ignore[method-assign]

    def _patch_step_function(self) -> None:
        """Put the hooks around the class's `step` if it was replaced after the class was made."""
        if not getattr(type(self).step, "hooked", False):
            type(self).step = self.profile_hook_step(type(self).step)  # type: ignore[method-assign]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters once; `closure` computes the loss anew and returns it."""
        raise NotImplementedError(
            f"[step] {type(self).__name__} has no step; write one, or derive from UpdateRule"
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or make them zero."""
        for p in self._parameters():
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                p.grad.detach_()
                p.grad.zero_()

    def _accelerator_graph_capture_health_check(self) -> None:
        """Nothing to check: every step can be captured."""

    _cuda_graph_capture_health_check = _accelerator_graph_capture_health_check

    def _parameters(self) -> Iterator[Any]:
        for group in self.param_groups:
            yield from group["params"]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group: `params` and the hyperparameters that differ from the defaults.

        Errors: ArgumentTypeError or ArgumentError that says what is wrong with the group.
        """
        if not isinstance(param_group, dict):
            raise ArgumentTypeError(f"[optimizer] param_group must be a dict, but got {type(param_group)}")
        params, names = _named(param_group["params"])
        param_group["params"] = params
        if names:
            param_group["param_names"] = names
        if self.param_groups and bool(names) != ("param_names" in self.param_groups[0]):
            kind = "with" if names else "without"
            raise ArgumentError(
                "[optimizer] all optimizer param groups should be with/without names. cannot add param group "
                f"{kind} names to the optimizer; name all or none"
            )
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ArgumentError(
                    "[optimizer] parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            param_group.setdefault(name, default)
        self._check_params(params)
        self.param_groups.append(param_group)
        self._generation += 1

    def _check_params(self, params: list[Any]) -> None:
        for p in params:
            if not isinstance(p, Tensor):
                raise ArgumentTypeError(
                    "[optimizer] optimizer can only optimize Tensors, but one of the params is "
                    f"{type(p).__name__}"
                )
            if not (p.is_leaf or p.retains_grad or self.defaults.get("differentiable")):
                raise ArgumentError(
                    "[optimizer] can't optimize a non-leaf Tensor; give what it was computed from"
                )
        if len(set(params)) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters: each is updated once per "
                "mention",
                stacklevel=4,
            )
        if not set(self._parameters()).isdisjoint(params):
            raise ArgumentError(
                "[optimizer] some parameters appear in more than one parameter group; name each once"
            )

    def state_dict(self) -> dict[str, Any]:
        """The state and the groups, parameters by number: `{"state": {0: {...}}, "param_groups": [...]}`."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[Any, int] = {}
        groups = []
        start = 0
        for group in self.param_groups:
            for number, p in enumerate(group["params"], start):
                numbers.setdefault(p, number)
            start += len(group["params"])
            values = {name: value for name, value in group.items() if name != "params"}
            groups.append(values | {"params": [numbers[p] for p in group["params"]]})
        state = {numbers[k] if isinstance(k, Tensor) else k: v for k, v in self.state.items()}
        packed: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            answer = hook(self, packed)
            packed = packed if answer is None else answer
        return packed

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, also PyTorch's; tensors are copied, in each parameter's dtype.

        Errors: ArgumentError if groups or their sizes differ; nothing is changed then.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            answer = hook(self, state_dict)
            state_dict = state_dict if answer is None else answer
        groups = self._matching(state_dict["param_groups"])
        saved = (number for group in state_dict["param_groups"] for number in group["params"])
        owners = dict(zip(saved, self._parameters(), strict=True))
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in owners:
                state[owners[key]] = _fitted(value, owners[key])
            else:
                state[key] = copy.deepcopy(value)
        self.__setstate__({"state": state, "param_groups": groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def _matching(self, saved: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The saved groups with this optimizer's parameters in them.

        Errors: ArgumentError if groups or their sizes differ.
        """
        if len(saved) != len(self.param_groups):
            raise ArgumentError(
                f"[optimizer] loaded state dict has a different number of parameter groups: {len(saved)}, "
                f"the optimizer has {len(self.param_groups)}"
            )
        if any(len(a["params"]) != len(b["params"]) for a, b in zip(saved, self.param_groups, strict=True)):
            raise ArgumentError(
                "[optimizer] loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group; build the optimizer on the same model"
            )
        groups = []
        for group, mine in zip(saved, self.param_groups, strict=True):
            found = {name: copy.deepcopy(value) for name, value in group.items() if name != "params"}
            found["params"] = mine["params"]
            if "param_names" in mine:
                found.setdefault("param_names", mine["param_names"])
            groups.append(found)
        return groups

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._generation = self.__dict__.get("_generation", 0) + 1
        self._start_hooks()
        self._patch_step_function()
        if isinstance(self.__dict__.get("defaults"), dict):
            self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines.extend(f"    {name}: {group[name]}" for name in sorted(group) if name != "params")
        return "\n".join([*lines, ")"])


def _named(params: Any) -> tuple[list[Any], list[str]]:
    """A group's parameters as a list, and their names where (name, parameter) pairs were given."""
    if isinstance(params, Tensor):
        return [params], []
    if isinstance(params, set):
        raise ArgumentTypeError(
            "[optimizer] optimizer parameters need to be organized in ordered collections, but the ordering "
            "of tensors in sets will change between runs. Please use a list instead."
        )
    found = list(params)
    pairs = [isinstance(p, tuple) for p in found]
    if not any(pairs):
        return found, []
    if not all(pairs):
        raise ArgumentError(
            "[optimizer] all optimizer params should be with/without names. Some param names are missing; "
            "name all or none"
        )
    return [p for _, p in found], [name for name, _ in found]


def _fitted(value: Any, p: Any, name: str = "") -> Any:
    """A copy of a saved state on the parameter's device, in its dtype; step counts keep theirs."""
    if isinstance(value, Tensor):
        dtype = p.dtype if p.is_floating_point() and name != "step" else value.dtype
        return value.detach().to(p.device, dtype, copy=True)  # type: ignore[attr-defined]
    if isinstance(value, dict):
        return {k: _fitted(v, p, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_fitted(v, p) for v in value)
    return copy.deepcopy(value)
