"""A module's state as a dict of tensors, and back."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from devtensor.core.errors import ArgumentTypeError, CheckpointError, SettingError
from devtensor.core.hooks import RemovableHandle, add_hook
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor, share
from devtensor.nn.modules.backward_hooks import WrappedHook
from devtensor.nn.modules.traversal import Traversal
from devtensor.nn.parameter import Parameter, is_lazy

EXTRA_STATE = "_extra_state"


class HookError(SettingError, AssertionError):
    """A hook that gave something back where it must not."""


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found missing in the state, and what in the state belongs nowhere."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"

    __str__ = __repr__


def _quoted(keys: list[str]) -> str:
    return ", ".join(f'"{key}"' for key in keys)


class Saving(Traversal):
    """The part of Module that gives and takes its state."""

    _version: int | None = 1
    _state_dict_hooks: OrderedDict
    _state_dict_pre_hooks: OrderedDict
    _load_state_dict_pre_hooks: OrderedDict
    _load_state_dict_post_hooks: OrderedDict

    def get_extra_state(self) -> Any:
        """What a subclass wants saved beside its tensors."""
        raise RuntimeError(
            f"{self._get_name()} has no extra state: define get_extra_state() and set_extra_state()"
        )

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` gave."""
        raise RuntimeError(
            f"{self._get_name()} has no extra state: define get_extra_state() and set_extra_state()"
        )

    def _has_extra_state(self, method: str) -> bool:
        return getattr(type(self), method) is not getattr(Saving, method)

    def _persistent(self) -> dict[str, Tensor | None]:
        """The parameters and the buffers that are saved."""
        buffers = {n: b for n, b in self._buffers.items() if n not in self._non_persistent_buffers_set}
        return {**self._parameters, **buffers}

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        for name, value in self._persistent().items():
            if value is not None:
                destination[prefix + name] = value if keep_vars else share(value)
        if self._has_extra_state("get_extra_state"):
            destination[prefix + EXTRA_STATE] = self.get_extra_state()

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """All parameters and persistent buffers by dotted name; they share the module's memory."""
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead: destination, prefix, keep_vars",
                FutureWarning,
                stacklevel=2,
            )
            given: Any = (*args, *(destination, prefix, keep_vars)[len(args) :])
            destination, prefix, keep_vars = given
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_dict_hooks.values():
            replaced = hook(self, destination, prefix, metadata)
            if replaced is not None and getattr(hook, "_from_public_api", False):
                raise SettingError(f"[state_dict] a post-hook gave {type(replaced)}; it must return None")
            destination = destination if replaced is None else replaced
        return destination

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy the tensors of `state_dict` into this module and all below; `assign` takes them as they are.

        Errors: CheckpointError that lists every missing and unexpected key (if `strict`) and every wrong
        size.
        """
        if not isinstance(state_dict, Mapping):
            raise ArgumentTypeError(
                f"[load_state_dict] Expected state_dict to be dict-like, got {type(state_dict)}."
            )
        metadata = getattr(state_dict, "_metadata", None)
        state: Any = OrderedDict(state_dict)
        if metadata is not None:
            state._metadata = metadata
        found, problems = IncompatibleKeys([], []), []
        self._load(state, "", _Loading(metadata, strict, assign, found, problems))
        if strict and found.unexpected_keys:
            problems.insert(0, f"Unexpected key(s) in state_dict: {_quoted(found.unexpected_keys)}. ")
        if strict and found.missing_keys:
            problems.insert(0, f"Missing key(s) in state_dict: {_quoted(found.missing_keys)}. ")
        if problems:
            listed = "\n\t".join(problems)
            raise CheckpointError(f"Error(s) in loading state_dict for {self._get_name()}:\n\t{listed}")
        return found

    def _load(self, state: dict, prefix: str, loading: _Loading) -> None:
        metadata = {} if loading.metadata is None else dict(loading.metadata.get(prefix[:-1], {}))
        if loading.assign:
            metadata["assign_to_params_buffers"] = True
        found = loading.found
        self._load_from_state_dict(
            state, prefix, metadata, True, found.missing_keys, found.unexpected_keys, loading.problems
        )
        for name, module in self._modules.items():
            if module is not None:
                below = f"{prefix}{name}."
                module._load({k: v for k, v in state.items() if k.startswith(below)}, below, loading)
        for hook in self._load_state_dict_post_hooks.values():
            if hook(self, found) is not None:
                raise HookError(
                    "[load_state_dict] hooks registered with `register_load_state_dict_post_hook` must "
                    "return None; change the lists of keys in place"
                )

    def _load_from_state_dict(
        self,
        state_dict: dict,
        prefix: str,
        local_metadata: dict,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load this module's own tensors; what is wrong goes into the lists."""
        for hook in self._load_state_dict_pre_hooks.values():
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        assign = local_metadata.get("assign_to_params_buffers", False)
        own = {name: value for name, value in self._persistent().items() if value is not None}
        for name, value in own.items():
            key = prefix + name
            if key in state_dict:
                problem = self._load_one(name, key, value, state_dict[key], assign)
                error_msgs.extend([problem] if problem else [])
            elif strict:
                missing_keys.append(key)
        self._load_extra_state(
            state_dict, prefix, missing_keys if strict else [], unexpected_keys if strict else []
        )
        for key in state_dict if strict else ():
            rest = key[len(prefix) :]
            if key.startswith(prefix) and rest != EXTRA_STATE:
                name, _, deeper = rest.partition(".")
                known = name in self._modules if deeper else name in own
                if not known:
                    unexpected_keys.append(key)

    def _load_extra_state(
        self, state_dict: dict, prefix: str, missing_keys: list[str], unexpected_keys: list[str]
    ) -> None:
        key, wanted = prefix + EXTRA_STATE, self._has_extra_state("set_extra_state")
        if wanted and key in state_dict:
            self.set_extra_state(state_dict[key])
        elif wanted:
            missing_keys.append(key)
        elif key in state_dict:
            unexpected_keys.append(key)

    def _load_one(self, name: str, key: str, value: Tensor, given: Any, assign: bool) -> str | None:
        """Load one tensor; the text says what is wrong if it cannot be."""
        if not isinstance(given, Tensor):
            return (
                f'While copying the parameter named "{key}", expected Tensor or Tensor-like object from '
                f"checkpoint but received {type(given)}"
            )
        if not is_lazy(value):
            if not value.array.ndim and given.array.shape == (1,):
                given = given[0]
            if given.array.shape != value.array.shape:
                return (
                    f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, "
                    f"the shape in current model is {value.shape}."
                )
        try:
            self._take(name, key, value, given, assign)
        except Exception as error:
            return (
                f'While copying the parameter named "{key}", whose dimensions in the model are '
                f"{value.array.shape} and whose dimensions in the checkpoint are {given.array.shape}, an "
                f"exception occurred : {error.args}."
            )
        return None

    def _take(self, name: str, key: str, value: Tensor, given: Tensor, assign: bool) -> None:
        """Put a loaded tensor's numbers, or with `assign` the tensor itself, in the place of `value`."""
        if not assign:
            if value.is_meta and not given.is_meta:
                warnings.warn(
                    f"for {key}: copying from a non-meta parameter in the checkpoint to a meta parameter in "
                    "the current model does nothing; pass assign=True to take the checkpoint's tensors",
                    stacklevel=2,
                )
            with no_grad():
                value.copy_(given)
            return
        if isinstance(value, Parameter):
            given = given if isinstance(given, Parameter) else Parameter(given, requires_grad=False)
            given.requires_grad_(value.requires_grad)
        setattr(self, name, given)

    def register_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before the state is collected."""
        return add_hook(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, metadata)` on the collected state, to change it in place."""
        hook._from_public_api = True  # type: ignore[attr-defined]
        return add_hook(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook: Callable) -> RemovableHandle:
        """The same; what the hook returns replaces the state."""
        if getattr(hook, "_from_public_api", False):
            raise SettingError(
                "[_register_state_dict_hook] the hook was registered by register_state_dict_post_hook; "
                "it can be one of them alone"
            )
        return add_hook(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, ...)` before this module's own tensors are loaded."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable, with_module: bool = False
    ) -> RemovableHandle:
        return add_hook(self._load_state_dict_pre_hooks, WrappedHook(hook, self if with_module else None))

    def register_load_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading; it may change the lists of keys."""
        return add_hook(self._load_state_dict_post_hooks, hook)


class _Loading(NamedTuple):
    """What one load carries from module to module."""

    metadata: Any
    strict: bool
    assign: bool
    found: IncompatibleKeys
    problems: list[str]
