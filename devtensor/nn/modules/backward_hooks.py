"""How a module's backward hooks hear the gradients on both sides of one call."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any

from devtensor.autograd.function import Function
from devtensor.core.errors import AutogradError
from devtensor.core.state import current
from devtensor.core.tensor import Tensor


class Barrier(Function):
    """An identity of several tensors: its node is where backward hooks hear the gradients."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        return grads


def _barrier(values: tuple, listen: Callable[[Any], Any]) -> tuple | None:
    """The values with a node of their own, which `listen` is handed; None if none has a gradient."""
    places = [p for p, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
    if not places or not current().grad:
        return None
    outs = Barrier.apply(*(values[p] for p in places))
    listen(outs[0].node.node)
    replaced = list(values)
    for place, out in zip(places, outs, strict=True):
        replaced[place] = out
    return tuple(replaced)


class BackwardCall:
    """One forward call of a module with backward hooks: it collects the gradients on both sides.

    Hooks get a gradient for each positional argument and each output, None where there is none.
    """

    def __init__(self, module: Any, hooks: list[Callable], pre_hooks: list[Callable]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_output: tuple | None = None
        self.hears_inputs = False

    def around_inputs(self, args: tuple) -> tuple:
        """Put the barrier in front of the module."""
        self.count = len(args)
        self.wanted = [p for p, v in enumerate(args) if isinstance(v, Tensor) and v.requires_grad]
        through = _barrier(args, lambda node: node.register_hook(self._hear_inputs))
        self.hears_inputs = through is not None
        return args if through is None else through

    def around_outputs(self, result: Any) -> Any:
        """Put the barrier behind the module."""
        if not isinstance(result, (Tensor, tuple)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but "
                f"received {type(result)}",
                stacklevel=2,
            )
        values = result if isinstance(result, tuple) else (result,)
        self.out_count = len(values)
        self.out_wanted = [p for p, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
        through = _barrier(values, lambda node: node.register_prehook(self._hear_outputs))
        if through is None:
            return result
        if not isinstance(result, tuple):
            return through[0]
        return through if type(result) is tuple else type(result)(*through)

    def _hear_outputs(self, gs: tuple) -> tuple:
        found = dict(zip(self.out_wanted, gs, strict=True))
        grad_output = tuple(found.get(p) for p in range(self.out_count))
        for hook in self.pre_hooks:
            grad_output = _replaced(hook(self.module, grad_output), grad_output, "pre hook", "grad_output")
        if self.hears_inputs:
            self.grad_output = grad_output
        else:
            self._call_without_inputs(grad_output)
        return tuple(grad_output[p] for p in self.out_wanted)

    def _call_without_inputs(self, grad_output: tuple) -> None:
        """No input of the call needs a gradient, so the hooks are called when the outputs' are there."""
        if self.hooks:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module outputs "
                "since no inputs require gradients",
                stacklevel=5,
            )
        for hook in self.hooks:
            result = hook(self.module, (None,) * self.count, grad_output)
            if result is not None and not (isinstance(result, tuple) and all(g is None for g in result)):
                raise AutogradError(
                    "[backward hook] returned gradients, but no input of the module requires one; return None"
                )

    def _hear_inputs(self, gs: tuple, arrived: tuple) -> tuple:
        if self.grad_output is None:
            # These gradients did not come through the module's outputs, as happens in double backward.
            return gs
        found = dict(zip(self.wanted, gs, strict=True))
        grad_input = tuple(found.get(p) for p in range(self.count))
        for hook in self.hooks:
            result = hook(self.module, grad_input, self.grad_output)
            grad_input = _replaced(result, grad_input, "hook", "grad_input")
        self.grad_output = None
        return tuple(grad_input[p] for p in self.wanted)


def _replaced(result: Any, before: tuple, what: str, name: str) -> tuple:
    if result is None:
        return before
    result = tuple(result) if isinstance(result, (tuple, list)) else (result,)
    if len(result) != len(before):
        raise AutogradError(
            f"[backward {what}] has returned an invalid number of {name}: got {len(result)}, but expected "
            f"{len(before)}"
        )
    return result


class WrappedHook:
    """A hook that is handed a module first, which it does not keep alive."""

    def __init__(self, hook: Callable, module: Any = None) -> None:
        self.hook = hook
        self.with_module = module is not None
        if module is not None:
            self.module = weakref.ref(module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.with_module:
            return self.hook(*args, **kwargs)
        module = self.module()
        if module is None:
            raise AutogradError("[hook] its module is gone; call it while the module is alive")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        module = {"module": self.module()} if self.with_module else {}
        return {"hook": self.hook, "with_module": self.with_module, **module}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.hook, self.with_module = state["hook"], state["with_module"]
        if self.with_module:
            if state["module"] is None:
                raise AutogradError("[hook] its module was gone when it was saved; save both together")
            self.module = weakref.ref(state["module"])


def hear_last_node(module: Any, hooks: list[Callable], args: tuple, result: Any) -> None:
    """The older kind of hooks: they hear the node that made the result, whatever the module did before."""
    found = result
    while not isinstance(found, Tensor):
        named = isinstance(found, dict)
        found = next(v for v in found.values() if isinstance(v, Tensor)) if named else found[0]
    node: Any = found.grad_fn
    if node is None:
        return
    for hook in hooks:
        node.register_hook(WrappedHook(hook, module))
    missing = _unheard(args, result, node)
    if missing:
        warnings.warn(
            f"Using a non-full backward hook {missing} is deprecated: it will not hear all gradients. Use "
            "register_full_backward_hook instead.",
            FutureWarning,
            stacklevel=2,
        )


def _unheard(args: tuple, result: Any, node: Any) -> str:
    """Why hooks on that node do not hear all gradients of a call; nothing if they do."""
    results = (result,) if isinstance(result, Tensor) else result
    for values, what in ((results, "does not return"), (args, "does not take as input")):
        if not isinstance(values, tuple) or not all(isinstance(v, Tensor) for v in values):
            return f"on a Module that {what} a single Tensor or a tuple of Tensors"
    makers = {r.grad_fn for r in results if r.grad_fn is not None}
    if len(makers) > 1:
        return "when outputs are generated by different autograd Nodes"
    before = {a.grad_fn for a in args if a.grad_fn is not None}
    if before != {edge[0] for edge in node.next_functions}:
        return "when the forward contains multiple autograd Nodes"
    return ""
