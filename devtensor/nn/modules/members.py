"""How a module keeps its parameters, buffers and submodules, and shows them as attributes."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from devtensor.core.errors import ArgumentTypeError
from devtensor.core.tensor import Tensor
from devtensor.nn.modules.everywhere import registered
from devtensor.nn.parameter import Buffer, Parameter


class Members(dict):
    """Named members of one kind; each is at once an attribute of the module, and so fast to read."""

    __slots__ = ("owner",)

    def __init__(self, owner: Any, entries: Any = ()) -> None:
        self.owner = weakref.ref(owner)
        dict.__init__(self)
        self.update(entries)

    def __setitem__(self, name: str, value: Any) -> None:
        dict.__setitem__(self, name, value)
        self._attributes()[name] = value

    def __delitem__(self, name: str) -> None:
        dict.__delitem__(self, name)
        self._attributes().pop(name, None)

    def _attributes(self) -> dict[str, Any]:
        owner = self.owner()
        return {} if owner is None else owner.__dict__

    def update(self, entries: Any = (), **more: Any) -> None:
        for name, value in dict(entries, **more).items():
            self[name] = value

    def __ior__(self, entries: Any) -> Members:
        self.update(entries)
        return self

    def setdefault(self, name: str, value: Any = None) -> Any:
        if name not in self:
            self[name] = value
        return self[name]

    def pop(self, name: str, *default: Any) -> Any:
        found = dict.pop(self, name, *default)
        self._attributes().pop(name, None)
        return found

    def popitem(self) -> tuple[str, Any]:
        name, value = dict.popitem(self)
        self._attributes().pop(name, None)
        return name, value

    def clear(self) -> None:
        for name in list(self):
            del self[name]

    def __reduce_ex__(self, protocol: Any) -> tuple:
        return dict, (dict(self),)


KINDS = ("_parameters", "_buffers", "_modules")


class Membership:
    """The part of Module that registers members and looks them up."""

    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]

    def _start(self) -> None:
        for kind in KINDS:
            object.__setattr__(self, kind, Members(self))
        object.__setattr__(self, "_non_persistent_buffers_set", set())

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or with None note that there is none of that name.

        Errors: KeyError for a name that is taken or impossible, ArgumentTypeError for anything but a
        Parameter.
        """
        self._check_name(name, "parameter", "_parameters")
        if param is not None:
            if not isinstance(param, Parameter):
                raise ArgumentTypeError(
                    f"[register_parameter] cannot assign '{_type_name(param)}' object to parameter '{name}' "
                    "(nn.Parameter or None required)"
                )
            if param.node is not None:
                raise ValueError(
                    f"[register_parameter] Cannot assign non-leaf Tensor to parameter '{name}'; parameters "
                    "are leaves; to express it by others, compute it in forward()"
                )
            param = registered("_parameters", self, name, param)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is state but no parameter; a non-persistent one is not saved.

        Errors: KeyError for a name that is taken or impossible, ArgumentTypeError for anything but a Tensor.
        """
        self._check_name(name, "buffer", "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ArgumentTypeError(
                f"[register_buffer] cannot assign '{_type_name(tensor)}' object to buffer '{name}' "
                "(Tensor or None required)"
            )
        self._buffers[name] = registered("_buffers", self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Any) -> None:
        """Add a submodule.

        Errors: KeyError for a name that is taken or impossible, ArgumentTypeError for anything but a Module.
        """
        if module is not None and not isinstance(module, Membership):
            raise ArgumentTypeError(f"[add_module] {_type_name(module)} is not a Module subclass")
        self._check_name(name, "module", "_modules")
        self._modules[name] = registered("_modules", self, name, module)

    def register_module(self, name: str, module: Any) -> None:
        """Another name of `add_module`."""
        self.add_module(name, module)

    def _check_name(self, name: str, what: str, kind: str) -> None:
        if kind not in self.__dict__:
            raise AttributeError(f"cannot assign {what}s before Module.__init__() call")
        self._mirrored(kind)
        if not isinstance(name, str):
            raise ArgumentTypeError(f"[Module] {what} name should be a string. Got {_type_name(name)}")
        if "." in name:
            raise KeyError(f'{what} name can\'t contain ".", got: "{name}"')
        if name == "":
            raise KeyError(f'{what} name can\'t be empty string ""')
        if hasattr(self, name) and name not in self.__dict__[kind]:
            raise KeyError(f"attribute '{name}' already exists")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in KINDS:
            object.__setattr__(self, name, value if isinstance(value, Members) else Members(self, value))
            return
        kind, wanted = self._kind_for(name, value)
        if kind is None:
            object.__setattr__(self, name, value)
            return
        if value is not None and not isinstance(value, wanted[1]):
            raise ArgumentTypeError(
                f"[Module] cannot assign '{_type_name(value)}' as {wanted[0]} '{name}' ({wanted[2]} or None "
                "expected)"
            )
        self._mirrored(kind)
        self._forget(name, kind)
        if kind == "_buffers":
            self._register_as_before(name, value)
        elif kind == "_parameters":
            self.register_parameter(name, value)
        else:
            self.__dict__[kind][name] = registered(kind, self, name, value)

    def _register_as_before(self, name: str, value: Any) -> None:
        """Register a buffer that says whether it is saved, or is saved if the one that it replaces was.

        A subclass's own `register_buffer` may not know of that: it is told only what is not usual.
        """
        usual = name not in self._non_persistent_buffers_set
        if value.persistent if isinstance(value, Buffer) else usual:
            self.register_buffer(name, value)
        else:
            self.register_buffer(name, value, persistent=False)

    def _mirrored(self, kind: str) -> None:
        """Take a plain dict, such as unpickling by hand leaves, as this kind of members."""
        held = self.__dict__[kind]
        if not isinstance(held, Members):
            object.__setattr__(self, kind, Members(self, held))

    def _kind_for(self, name: str, value: Any) -> tuple[str | None, tuple]:
        """Among which members an assignment belongs: by the value's class, else by what the name was."""
        state = self.__dict__
        for kind, wanted in WANTED.items():
            if isinstance(value, wanted[3]):
                if kind not in state:
                    raise AttributeError(f"cannot assign {wanted[0]} before Module.__init__() call")
                return kind, wanted
        for kind, wanted in WANTED.items():
            if kind in state and name in state[kind]:
                return kind, wanted
        return None, ()

    def _forget(self, name: str, kind: str) -> None:
        """Drop what bore the name, unless it was a member of the same kind."""
        state = self.__dict__
        if name in state[kind]:
            return
        for other in KINDS:
            state[other].pop(name, None)
        self._non_persistent_buffers_set.discard(name)
        state.pop(name, None)

    def __getattr__(self, name: str) -> Any:
        for kind in KINDS:
            members = self.__dict__.get(kind)
            if members is not None and name in members:
                return members[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for kind in KINDS:
            if name in self.__dict__.get(kind, ()):
                del self.__dict__[kind][name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> Iterable[str]:
        members = [name for kind in KINDS for name in self.__dict__.get(kind, ())]
        return sorted(name for name in {*object.__dir__(self), *members} if not name[:1].isdigit())

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("_compiled_call_impl", None)
        for kind in KINDS:
            for name in state.get(kind, ()):
                state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        plain = {name: value for name, value in state.items() if name not in KINDS}
        self._start()
        self.__dict__.update(plain)
        for kind in KINDS:
            self.__dict__[kind].update(state.get(kind, {}))


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


# What each kind of members may hold: its name, the classes allowed, their name, the class that chooses it.
WANTED: dict[str, tuple[str, Any, str, Any]] = {
    "_parameters": ("parameter", Parameter, "nn.Parameter", Parameter),
    "_modules": ("child module", Membership, "nn.Module", Membership),
    "_buffers": ("buffer", Tensor, "nn.Buffer, Tensor", Buffer),
}
