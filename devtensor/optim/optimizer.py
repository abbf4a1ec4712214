"""Optimizer: parameter groups, state, hooks and state_dict, by PyTorch's protocol."""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.hooks import RemovableHandle, add_hook
from devtensor.core.tensor import Tensor
from devtensor.optim.hooks import with_hooks


class _Required:
    """Stands for the default of a hyperparameter that every group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()
_RequiredParameter = _Required
ParamsT = Iterable[Any]


class Optimizer:
    """Base of all optimizers: `params` in groups, each with its hyperparameters.

    A subclass calls `super().__init__(params, defaults)` and writes `step`, with `self.param_groups` and
    `self.state[p]` at hand, as for PyTorch; or it is an `UpdateRule` and writes only its mathematics.

    Errors: ArgumentTypeError if params holds no Tensors, ArgumentError if it is empty or a parameter stands
    in two groups.
    """

    def __init__(self, params: Iterable, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._start_hooks()
        if isinstance(params, Tensor):
            raise ArgumentTypeError(
                "[optimizer] params argument given to the optimizer should be an iterable of Tensors or "
                "dicts, but got a Tensor; put it in a list"
            )
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        # Raised when groups or state are replaced: a captured step that holds the old ones is learnt anew.
        self._generation = 0
        groups = list(params)
        if not groups:
            raise ArgumentError(
                "[optimizer] optimizer got an empty parameter list; give at least one parameter"
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(dict(group) if isinstance(group, dict) else group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = with_hooks(cls.step)  # type: ignore[method-assign]

    def _start_hooks(self) -> None:
        self._optimizer_step_pre_hooks: OrderedDict[object, Callable] = OrderedDict()
        self._optimizer_step_post_hooks: OrderedDict[object, Callable] = OrderedDict()

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

    def _parameters(self) -> Iterator[Any]:
        for group in self.param_groups:
            yield from group["params"]

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return new (args, kwargs)."""
        return add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return add_hook(self._optimizer_step_post_hooks, hook)

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
            raise ArgumentError(
                "[optimizer] all optimizer param groups should be with/without names; name all or none"
            )
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ArgumentError(
                    "[optimizer] parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            param_group.setdefault(name, default)
        self._check_params(params)
        self.check(param_group)
        self.param_groups.append(param_group)
        self._generation += 1

    def check(self, group: dict[str, Any]) -> None:
        """Refuse hyperparameters that make no sense; a subclass may say which."""

    def _check_params(self, params: list[Any]) -> None:
        for p in params:
            if not isinstance(p, Tensor):
                raise ArgumentTypeError(
                    "[optimizer] optimizer can only optimize Tensors, but one of the params is "
                    f"{type(p).__name__}"
                )
            if not p.is_leaf and not self.defaults.get("differentiable"):
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
        numbers: dict[Any, int] = {}
        for p in self._parameters():
            numbers.setdefault(p, len(numbers))
        groups = [
            {k: v for k, v in group.items() if k != "params"}
            | {"params": [numbers[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {numbers[k] if isinstance(k, Tensor) else k: v for k, v in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave, also PyTorch's; tensors are copied, in each parameter's dtype.

        Errors: ArgumentError if groups or their sizes differ; nothing is changed then.
        """
        saved = [dict(group) for group in state_dict["param_groups"]]
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
        owners = dict(zip((i for group in saved for i in group["params"]), self._parameters(), strict=True))
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            state[owners.get(key, key)] = (
                _fitted(value, owners.get(key)) if key in owners else copy.deepcopy(value)
            )
        groups = []
        for group, mine in zip(saved, self.param_groups, strict=True):
            values = {name: copy.deepcopy(value) for name, value in group.items() if name != "params"}
            groups.append({**self.defaults, **values, "params": mine["params"]})
        self.__setstate__({"state": state, "param_groups": groups})

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._generation = self.__dict__.get("_generation", 0) + 1
        if "_optimizer_step_pre_hooks" not in self.__dict__:
            self._start_hooks()

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
        raise ArgumentError("[optimizer] all optimizer params should be with/without names; name all or none")
    return [p for _, p in found], [name for name, _ in found]


def _fitted(value: Any, p: Any, name: str = "") -> Any:
    """A copy of a saved state on the parameter's device, in its dtype; step counts stay float32."""
    if isinstance(value, Tensor):
        floating = value.dtype.is_floating_point and p.dtype.is_floating_point
        dtype = p.dtype if floating and name != "step" else value.dtype
        return value.detach().to(p.device, dtype, copy=True)  # type: ignore[attr-defined]
    if isinstance(value, dict):
        return {k: _fitted(v, p, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_fitted(v, p, name) for v in value)
    return copy.deepcopy(value)
