"""Hooks: functions that are called around a module's forward and backward."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from devtensor.autograd.function import Function
from devtensor.core.errors import AutogradError
from devtensor.core.hooks import RemovableHandle, add_hook
from devtensor.core.state import current
from devtensor.core.tensor import Tensor
from devtensor.nn.modules.circumstances import announce


class Barrier(Function):
    """An identity of several tensors: its node is where backward hooks hear the gradients."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        return grads


def _barrier(values: tuple, hook: Callable[[tuple], tuple]) -> tuple | None:
    """The values with a node of their own whose gradients go through `hook`; None if none has a gradient."""
    places = [p for p, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
    if not places or not current().grad:
        return None
    outs = Barrier.apply(*(values[p] for p in places))
    outs[0].node.node.register_prehook(hook)
    replaced = list(values)
    for place, out in zip(places, outs, strict=True):
        replaced[place] = out
    return tuple(replaced)


class BackwardCall:
    """One forward call of a module with backward hooks: it collects the gradients on both sides."""

    def __init__(self, module: Any, hooks: list[Callable], pre_hooks: list[Callable]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_output: tuple | None = None
        self.heard_inputs = False

    def around_inputs(self, args: tuple) -> tuple:
        """Put the barrier in front of the module."""
        self.places = [p for p, v in enumerate(args) if isinstance(v, Tensor)]
        self.wanted = [p for p in self.places if args[p].requires_grad]
        through = _barrier(args, self._hear_inputs)
        self.heard_inputs = through is not None
        return args if through is None else through

    def around_outputs(self, result: Any) -> Any:
        """Put the barrier behind the module."""
        values = result if isinstance(result, tuple) else (result,)
        self.out_places = [p for p, v in enumerate(values) if isinstance(v, Tensor)]
        self.out_wanted = [p for p in self.out_places if values[p].requires_grad]
        through = _barrier(values, self._hear_outputs)
        if through is None:
            return result
        return through if isinstance(result, tuple) else through[0]

    def _hear_outputs(self, gs: tuple) -> tuple:
        found = dict(zip(self.out_wanted, gs, strict=True))
        grad_output = tuple(found.get(p) for p in self.out_places)
        for hook in self.pre_hooks:
            grad_output = _replaced(hook(self.module, grad_output), grad_output)
        self.grad_output = grad_output
        if not self.heard_inputs:
            for hook in self.hooks:
                if hook(self.module, (None,) * len(self.places), grad_output) is not None:
                    raise AutogradError(
                        "[backward hook] returned gradients, but no input of the module requires one; return "
                        "None"
                    )
        renewed = dict(zip(self.out_places, grad_output, strict=True))
        return tuple(renewed[p] for p in self.out_wanted)

    def _hear_inputs(self, gs: tuple) -> tuple:
        found = dict(zip(self.wanted, gs, strict=True))
        grad_input = tuple(found.get(p) for p in self.places)
        for hook in self.hooks:
            grad_input = _replaced(hook(self.module, grad_input, self.grad_output), grad_input)
        renewed = dict(zip(self.places, grad_input, strict=True))
        return tuple(renewed[p] for p in self.wanted)


def _replaced(result: Any, before: tuple) -> tuple:
    if result is None:
        return before
    result = result if isinstance(result, tuple) else (result,)
    if len(result) != len(before):
        raise AutogradError(
            f"[backward hook] has returned an incorrect number of values: got {len(result)}, but expected "
            f"{len(before)}"
        )
    return result


HOOK_TABLES = (
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks",
    "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip


class Hooked:
    """The part of Module that calls forward, with hooks around it where there are any."""

    _forward_hooks: OrderedDict
    _forward_hooks_with_kwargs: OrderedDict
    _forward_hooks_always_called: OrderedDict
    _forward_pre_hooks: OrderedDict
    _forward_pre_hooks_with_kwargs: OrderedDict
    _backward_hooks: OrderedDict
    _backward_pre_hooks: OrderedDict
    forward: Callable

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        announce(self)
        if self._forward_hooks or self._forward_pre_hooks or self._backward_hooks or self._backward_pre_hooks:
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)

    def _call_with_hooks(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        called: set[int] = set()
        try:
            args, kwargs = self._before_forward(args, kwargs)
            listening = None
            if self._backward_hooks or self._backward_pre_hooks:
                hooks, pre_hooks = (
                    list(self._backward_hooks.values()),
                    list(self._backward_pre_hooks.values()),
                )
                listening = BackwardCall(self, hooks, pre_hooks)
                args = listening.around_inputs(args)
            result = self.forward(*args, **kwargs)
            for number in list(self._forward_hooks):
                called.add(number)
                result = self._after_forward(number, args, kwargs, result)
            return result if listening is None else listening.around_outputs(result)
        except Exception:
            for number in list(self._forward_hooks_always_called):
                if number not in called:
                    self._after_forward(number, args, kwargs, None)
            raise

    def _before_forward(self, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        for number, hook in list(self._forward_pre_hooks.items()):
            if number in self._forward_pre_hooks_with_kwargs:
                result = hook(self, args, kwargs)
                if result is None:
                    continue
                if not isinstance(result, tuple) or len(result) != 2:
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple of (new_args, new_kwargs), got "
                        f"{result}."
                    )
                args, kwargs = result
                continue
            result = hook(self, args)
            if result is not None:
                args = result if isinstance(result, tuple) else (result,)
        return args, kwargs

    def _after_forward(self, number: int, args: tuple, kwargs: dict[str, Any], result: Any) -> Any:
        hook = self._forward_hooks[number]
        if number in self._forward_hooks_with_kwargs:
            replaced = hook(self, args, kwargs, result)
        else:
            replaced = hook(self, args, result)
        return result if replaced is None else replaced

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before each forward; what it returns replaces the arguments."""
        flags = {"kwargs": self._forward_pre_hooks_with_kwargs} if with_kwargs else {}
        return add_hook(self._forward_pre_hooks, hook, prepend, **flags)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after each forward; what it returns replaces the output."""
        flags = {"kwargs": self._forward_hooks_with_kwargs} if with_kwargs else {}
        flags |= {"always": self._forward_hooks_always_called} if always_call else {}
        return add_hook(self._forward_hooks, hook, prepend, **flags)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` when gradients arrive; what it returns replaces them."""
        return add_hook(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` in backward; what it returns replaces grad_input."""
        return add_hook(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Callable) -> RemovableHandle:
        """Old name of `register_full_backward_hook`."""
        return self.register_full_backward_hook(hook)
