"""The rules of a load: the closed list of what a checkpoint may name, and what its user adds to it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.tensor import Tensor
from devtensor.nn.parameter import Parameter
from devtensor.serialization import rebuilding
from devtensor.serialization.closed_list import CLOSED, REFUSED
from devtensor.serialization.errors import Passed, UnpicklingError
from devtensor.serialization.names import path_of, their_path
from devtensor.serialization.rebuilding import Allowed

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "safe_globals"]

# Modules of which nothing is ever loaded, whoever asks for it.
BLOCKED = frozenset({"nt", "os", "posix", "subprocess", "sys"})

_added: dict[Any, None] = {}


def add_safe_globals(safe_globals: Iterable[Any]) -> None:
    """Let checkpoints name these classes and functions, make objects of them, fill them and call them.

    An entry is a class or function, found under its own path (ours also under PyTorch's), or a pair of one
    and the path that stands in the file. Loading runs their code: add only what you trust with any input.

    Errors: ArgumentTypeError for pairs of another kind.
    """
    entries = list(safe_globals)
    for entry in entries:
        _paths(entry)
    _added.update(dict.fromkeys(entries))


def clear_safe_globals() -> None:
    """Forget everything that was added."""
    _added.clear()


def get_safe_globals() -> list[Any]:
    """Everything that was added."""
    return list(_added)


class safe_globals:
    """A context in which checkpoints may name these classes and functions; see `add_safe_globals`."""

    def __init__(self, safe_globals: Iterable[Any]) -> None:
        self.safe_globals = list(safe_globals)

    def __enter__(self) -> None:
        add_safe_globals(self.safe_globals)

    def __exit__(self, *_: Any) -> None:
        for entry in self.safe_globals:
            _added.pop(entry, None)


def _paths(entry: Any) -> tuple[Any, list[str]]:
    """What an entry of the user's stands for, and the paths under which files name it."""
    if not isinstance(entry, tuple):
        path = path_of(entry)
        # NumPy 2 moved what files of NumPy 1 name.
        older = path.replace("numpy._core.", "numpy.core.")
        return entry, [path, older, *filter(None, [their_path(path)])]
    if len(entry) != 2:
        raise ArgumentError(f"[add_safe_globals] Expected tuple of length 2 (global, path), got {len(entry)}")
    if type(entry[1]) is not str:
        raise ArgumentTypeError(
            f"[add_safe_globals] Expected second item in tuple to be the path, but got {type(entry[1])}"
        )
    return entry[0], [entry[1]]


def user_globals() -> dict[str, Any]:
    """What was added, by the paths that files may use."""
    found = {}
    for entry in _added:
        value, paths = _paths(entry)
        found.update(dict.fromkeys(paths, value))
    return found


class AllowedGlobals:
    """The rules of one load: the closed list, and what the user added before it began."""

    def __init__(self, stored: Callable[[Any], Any]) -> None:
        self.stored = stored
        self.users = user_globals()
        self.own = {id(value) for value in self.users.values()}
        self.calls = {id(value): function for value, function in CLOSED.values() if function is not None}
        from_type = Allowed("_rebuild_from_type_v2")
        self.extra = {"torch._tensor._rebuild_from_type_v2": from_type}
        self.calls[id(from_type)] = self._from_type

    def find(self, module: str, name: str) -> Any:
        """What a global stands for.

        Errors: UnpicklingError that names it and tells how to allow it.
        """
        path = f"{module}.{name}"
        if module.partition(".")[0] in BLOCKED:
            raise UnpicklingError(
                f"[load] Trying to load unsupported GLOBAL {path} whose module {module} is blocked"
            )
        if path in self.users:
            return self.users[path]
        if path in CLOSED:
            return CLOSED[path][0]
        if path in self.extra:
            return self.extra[path]
        if path in REFUSED:
            raise UnpicklingError(
                f"[load] the file holds {REFUSED[path]} ({path}), which devtensor does not have"
            )
        raise UnpicklingError(refusal(path))

    def call(self, function: Any, args: tuple) -> Any:
        """What a function of the list gives."""
        if id(function) in self.own:
            return passing(function, *args)
        allowed = self.calls.get(id(function))
        if allowed is None:
            raise UnpicklingError(
                f"{getattr(function, '__name__', type(function).__name__)} may not be called"
            )
        return allowed(*args)

    def new(self, kind: Any, args: tuple, named: dict[str, Any]) -> Any:
        """An object of a class of the list."""
        if id(kind) in self.own and isinstance(kind, type):
            return passing(kind.__new__, kind, *args, **named)
        if named:
            raise UnpicklingError("named arguments are for classes made safe only")
        return self.call(kind, args)

    def build(self, target: Any, state: Any) -> None:
        """Fill an OrderedDict's attributes, or an object of a class that the user added."""
        if type(target) is OrderedDict:
            rebuilding.set_attributes(target, state, OrderedDict)
        elif id(type(target)) in self.own:
            passing(_fill, target, state)
        else:
            raise UnpicklingError(
                "Can only build OrderedDict or types allowlisted via `add_safe_globals`, but got "
                f"{type(target)}"
            )

    def _from_type(self, function: Any, kind: Any, args: Any, state: Any) -> Any:
        """A tensor with attributes, or of a class that the user added."""
        if type(args) is not tuple or id(function) not in self.calls or not isinstance(function, Allowed):
            raise UnpicklingError("a tensor is rebuilt by functions for tensors only")
        made = self.calls[id(function)](*args)
        if not isinstance(made, Tensor):
            raise UnpicklingError("a tensor is rebuilt by functions for tensors only")
        if kind is not Tensor and type(made) is not kind:
            if id(kind) not in self.own or not (isinstance(kind, type) and issubclass(kind, Tensor)):
                raise UnpicklingError(f"{kind!r:.80} is no class of tensors made safe")
            made = rebuilding.as_class(made, kind)
        if type(made) in (Tensor, Parameter):
            rebuilding.set_attributes(made, state, type(made))
        elif state is not None:
            passing(_fill, made, state)
        return made


def refusal(path: str) -> str:
    """Why a global is not loaded, and what to do about it."""
    return (
        f"[load] Unsupported global: GLOBAL {path} was not an allowed global by default; loading never runs "
        "code that the file names, with weights_only=False neither. Please use "
        f"`devtensor.serialization.add_safe_globals([{path}])` or the "
        f"`devtensor.serialization.safe_globals([{path}])` context manager to allowlist this global if you "
        "trust this class/function."
    )


def passing(function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Call the user's code; its errors reach the user as they are."""
    try:
        return function(*args, **named)
    except UnpicklingError:
        raise
    except Exception as error:
        raise Passed(error) from error


def _fill(target: Any, state: Any) -> None:
    """What unpickling does to an object that was made empty."""
    if hasattr(target, "__setstate__"):
        target.__setstate__(state)
        return
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    target.__dict__.update(state or {})
    for name, value in (slots or {}).items():
        setattr(target, name, value)
