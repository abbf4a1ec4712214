"""Per-thread modes: whether the tape listens, and which layers stand above dispatch."""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import Any

# The flag of a code object that makes a generator; the module `inspect`, which names it, is slow to load.
GENERATOR = 0x20


class Mode:
    """An immutable set of switches; one read gives a call all of them."""

    __slots__ = ("grad", "inference", "layers")

    def __init__(self, grad: bool = True, layers: tuple = (), inference: bool = False) -> None:
        self.grad = grad
        self.layers = layers
        self.inference = inference


_mode: ContextVar[Mode] = ContextVar("devtensor_mode", default=Mode())  # noqa: B039 - Mode is immutable
current = _mode.get


def replace(grad: bool | None = None, layers: tuple | None = None, inference: bool | None = None) -> Mode:
    """Change switches of the current thread's mode, those given, and return the mode that was."""
    before = current()
    _mode.set(
        Mode(
            before.grad if grad is None else grad,
            before.layers if layers is None else layers,
            before.inference if inference is None else inference,
        )
    )
    return before


class switched:
    """Holds switches for a block, those given, and gives back what they were."""

    __slots__ = ("grad", "layers")

    def __init__(self, grad: bool | None = None, layers: tuple | None = None) -> None:
        self.grad = grad
        self.layers = layers

    def __enter__(self) -> None:
        before = replace(self.grad, self.layers)
        self.grad = None if self.grad is None else before.grad
        self.layers = None if self.layers is None else before.layers

    def __exit__(self, *error: object) -> None:
        replace(self.grad, self.layers)


class Switch:
    """A context manager that is a decorator too; it gives back only what it changed."""

    def __call__(self, function: Any) -> Any:
        code = getattr(function, "__code__", None)
        if code is not None and code.co_flags & GENERATOR:
            return self._around_generator(function)

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self.again():
                return function(*args, **kwargs)

        return inside

    def _around_generator(self, function: Any) -> Any:
        """Hold the switch while the generator's own lines run, and not while its caller's do."""

        @functools.wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            action, argument = generator.send, None
            while True:
                try:
                    with self.again():
                        item = action(argument)
                except StopIteration as stop:
                    return stop.value
                try:
                    action, argument = generator.send, (yield item)
                except GeneratorExit:
                    generator.close()
                    raise
                except BaseException as error:
                    action, argument = generator.throw, error

        return inside

    def again(self) -> Any:
        """A fresh switch of the same kind, so that decorated functions may call themselves."""
        return type(self)()

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, *error: object) -> None:
        raise NotImplementedError


class GradMode(Switch):
    """Base of the switches that decide whether the tape listens."""

    grad = True

    def __enter__(self) -> None:
        self.before = self.switch()

    def __exit__(self, *error: object) -> None:
        grad, inference = self.before
        replace(grad=grad, inference=inference)

    def switch(self) -> tuple[bool, bool]:
        """Throw the switch and return what was; inside `inference_mode` nothing makes the tape listen."""
        before = current()
        replace(grad=self.grad and not before.inference)
        return before.grad, before.inference


class no_grad(GradMode):
    """Within it, and within a function it decorates, ops record nothing for backward."""

    grad = False

    def __new__(cls, function: Any = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)


class enable_grad(no_grad):
    """Within it ops record for backward again, even inside `no_grad`."""

    grad = True


class inference_mode(GradMode):
    """Like `no_grad`; what is made within it is an inference tensor, which never enters a graph."""

    def __new__(cls, mode: Any = True) -> Any:
        return cls()(mode) if callable(mode) else super().__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        self.inference = bool(mode)

    def switch(self) -> tuple[bool, bool]:
        before = replace(grad=not self.inference, inference=self.inference)
        return before.grad, before.inference

    def again(self) -> inference_mode:
        return inference_mode(self.inference)


class set_grad_enabled(GradMode):
    """Switch recording on or off, at once as a function or for a block as a context manager."""

    def __init__(self, mode: bool) -> None:
        self.grad = bool(mode)
        self.before = self.switch()

    def __call__(self, function: Any) -> Any:
        replace(grad=self.before[0])
        return super().__call__(function)

    def again(self) -> set_grad_enabled:
        return set_grad_enabled(self.grad)

    def __enter__(self) -> None:
        self.switch()


def is_grad_enabled() -> bool:
    """Whether ops record for backward in this thread now."""
    return current().grad


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside `inference_mode` now."""
    return current().inference


class Layer:
    """Something that hears every op before it runs; used as a context manager."""

    def call(self, op: Any, inputs: tuple, params: tuple, below: Any) -> Any:
        """Handle an op; `below(op, inputs, params)` runs it on the layers beneath."""
        return below(op, inputs, params)

    def write(self, dst: Any, src: Any, below: Any) -> None:
        """Handle an in-place write of `src` into `dst`."""
        below(dst, src)

    def whole(self, name: str, amp: str | None, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        """Choose the inputs of a function that is one op to autocast; None leaves them to the ops inside."""
        return None

    # Layers stand in this order, top first; a layer enters above those of its own rank.
    rank = 0
    # Whether it chooses dtypes, which backward, in-place forms and `out=` take as they are.
    forward_only = False

    def __enter__(self) -> Any:
        layers = current().layers
        place = sum(1 for layer in layers if layer.rank < self.rank)
        replace(layers=(*layers[:place], self, *layers[place:]))
        return self

    def __exit__(self, *error: object) -> None:
        layers = list(current().layers)
        if self in layers:
            layers.remove(self)
            replace(layers=tuple(layers))


def hear(event: str, *details: Any) -> None:
    """Tell every active layer that has a method of this name what happens."""
    for layer in current().layers:
        method = getattr(layer, event, None)
        if method is not None:
            method(*details)
