"""`compile`: takes what PyTorch's takes, and gives what runs the same eagerly."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentTypeError, DevtensorError, SettingError
from devtensor.nn import Module

__all__ = ["InvalidBackend", "OptimizedModule", "compile", "list_backends"]

MODES = ("default", "lite", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
# Names that PyTorch's backends go by. All of them run eagerly.
BACKENDS = ("eager", "inductor", "cudagraphs", "onnxrt", "openxla", "tvm")
DEBUG_BACKENDS = ("aot_eager", "aot_eager_decomp_partition", "aot_ts", "eager_noexcept", "ipex", "tensorrt")


class InvalidBackend(DevtensorError, RuntimeError):
    """A name that no backend of a compiler has."""


class NoFunction(ArgumentTypeError, AssertionError):
    """What cannot be compiled, for it cannot be called."""


def list_backends(exclude_tags: tuple = ("debug", "experimental")) -> list[str]:
    """Names that `compile(backend=)` takes; all of them run eagerly."""
    return sorted(BACKENDS if exclude_tags else BACKENDS + DEBUG_BACKENDS)


class OptimizedModule(Module):
    """What `compile(module)` gives: a module around the given one, which it runs and shares its state with.

    The given module is `_orig_mod`, so names in `state_dict()` begin with it, as in PyTorch; attributes are
    read and written there.
    """

    def __init__(self, mod: Module) -> None:
        super().__init__()
        self._modules["_orig_mod"] = mod
        self.__dict__["_orig_mod"] = mod

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the given module."""
        return self._orig_mod(*args, **kwargs)

    def __len__(self) -> int:
        return len(self._orig_mod)

    def __bool__(self) -> bool:
        return True

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self._orig_mod)})

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self.__dict__["_modules"]["_orig_mod"]
        return getattr(self._orig_mod, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__ or "_modules" not in self.__dict__ or name == "training":
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._orig_mod, name)


def compile(
    model: Callable | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable | None = None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    name: str | None = None,
    disable: bool = False,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    shapes_spec: Any = None,
) -> Any:
    """The function, wrapped, or the module, in an OptimizedModule; both run eagerly, with the same state.

    Nothing is compiled yet: every argument is checked and taken, and none makes a difference. Without a
    model it is a decorator. `devtensor.graph.capture` records and replays whole steps.

    Errors: ArgumentTypeError for what cannot be called, SettingError for an unknown mode, or mode and options
    at once, InvalidBackend for an unknown backend.
    """
    if mode is not None and options is not None:
        raise SettingError("[compile] Either mode or options can be specified, but not both at the same time")
    if mode is not None and mode not in MODES:
        raise SettingError(f"[compile] Unrecognized mode={mode}; it needs one of {', '.join(MODES)}")
    if isinstance(backend, str) and backend not in BACKENDS + DEBUG_BACKENDS:
        raise InvalidBackend(f"[compile] Invalid backend: {backend!r}; there are {', '.join(BACKENDS)}")
    if model is None:
        return functools.partial(compile, backend=backend, mode=mode, options=options, disable=disable)
    if not callable(model):
        raise NoFunction(f"[compile] A callable function is expected, but {type(model)} is provided")
    if disable:
        return model
    return OptimizedModule(model) if isinstance(model, Module) else _wrapped(model)


def _wrapped(function: Callable) -> Callable:
    @functools.wraps(function)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return compiled
