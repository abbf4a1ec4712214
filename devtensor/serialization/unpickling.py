"""A machine that runs pickles without running code: what they may name and call is a closed list."""

from __future__ import annotations

import _compat_pickle
import pickle
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any, Protocol

from devtensor.core.errors import CheckpointError, DeviceError, DevtensorError
from devtensor.serialization.errors import Passed, UnpicklingError
from devtensor.serialization.keys import checked_key
from devtensor.serialization.opcodes import LITERALS, Bytes

DICTS = (dict, OrderedDict, Counter, defaultdict)


class Rules(Protocol):
    """What a pickle may name and call."""

    def find(self, module: str, name: str) -> Any:
        """What a global stands for."""
        ...

    def call(self, function: Any, args: tuple) -> Any:
        """What a function gives, or a class makes."""
        ...

    def new(self, kind: Any, args: tuple, named: dict[str, Any]) -> Any:
        """An object of a class, not yet filled."""
        ...

    def build(self, target: Any, state: Any) -> None:
        """Fill an object."""
        ...

    def stored(self, identity: Any, /) -> Any:
        """What a persistent id stands for."""
        ...


class Machine:
    """Runs one pickle.

    Errors: UnpicklingError for a damaged pickle, and for one that asks for more than the rules allow.
    """

    def __init__(self, source: Bytes, rules: Rules, encoding: str = "utf-8") -> None:
        self.source = source
        self.rules = rules
        self.encoding = encoding
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The object that the pickle describes."""
        start = self.source.place
        try:
            return self._run()
        except Passed as passed:
            raise passed.error from passed.error.__cause__
        except UnpicklingError as error:
            raise type(error)(self._text(start, str(error))) from None
        except (CheckpointError, DeviceError):
            raise
        except (
            DevtensorError,
            LookupError,
            ValueError,
            TypeError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as error:
            raise UnpicklingError(self._text(start, f"{type(error).__name__}: {error}")) from None

    def _text(self, start: int, reason: str) -> str:
        if reason.startswith("["):
            return reason
        return f"[load] the pickle is damaged or not allowed, at byte {self.source.place - start}: {reason}"

    def _run(self) -> Any:
        take, actions = self.source.take, ACTIONS
        while True:
            code = bytes(take(1))
            literal = LITERALS.get(code)
            if literal is not None:
                self.stack.append(literal(self.source))
                continue
            if code == pickle.STOP:
                return self.stack.pop()
            action = actions.get(code)
            if action is None:
                raise UnpicklingError(f"Unsupported operand {code[0]}")
            action(self)

    def unmark(self) -> list[Any]:
        """What was put on the stack since the last mark."""
        items = self.stack
        self.stack = self.marked.pop()
        return items

    def proto(self) -> None:
        version = self.source.number("B")
        if version > pickle.HIGHEST_PROTOCOL:
            raise UnpicklingError(f"unsupported pickle protocol: {version}")

    def frame(self) -> None:
        self.source.number("Q")

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.unmark()

    def duplicate(self) -> None:
        self.stack.append(self.stack[-1])

    def make_tuple(self) -> None:
        items = self.unmark()
        self.stack.append(tuple(items))

    def make_list(self) -> None:
        items = self.unmark()
        self.stack.append(items)

    def make_dict(self) -> None:
        items = self.unmark()
        self.stack.append({})
        self._set_pairs(items)

    def make_frozenset(self) -> None:
        items = self.unmark()
        self.stack.append(frozenset(map(checked_key, items)))

    def short_tuple(self, count: int) -> None:
        items = tuple(self.stack[-count:])
        if len(items) != count:
            raise UnpicklingError("the stack is too short")
        self.stack[-count:] = [items]

    def append(self) -> None:
        item = self.stack.pop()
        self._list().append(item)

    def appends(self) -> None:
        items = self.unmark()
        self._list().extend(items)

    def _list(self) -> list[Any]:
        target = self.stack[-1]
        if type(target) is not list:
            raise UnpicklingError(f"Can only append to lists, but got {type(target)}")
        return target

    def set_item(self) -> None:
        value = self.stack.pop()
        self._set_pairs([self.stack.pop(), value])

    def set_items(self) -> None:
        self._set_pairs(self.unmark())

    def _set_pairs(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) not in DICTS:
            raise UnpicklingError(
                "Can only SETITEM for dict, collections.OrderedDict, collections.Counter and "
                f"collections.defaultdict, but got {type(target)}"
            )
        if len(items) % 2:
            raise UnpicklingError("a key without a value")
        for place in range(0, len(items), 2):
            target[checked_key(items[place])] = items[place + 1]

    def add_items(self) -> None:
        items = self.unmark()
        target = self.stack[-1]
        if type(target) is not set:
            raise UnpicklingError(f"Can only add to sets, but got {type(target)}")
        target.update(map(checked_key, items))

    def old_text(self, kind: str) -> None:
        data = bytes(self.source.counted(kind))
        self.stack.append(data if self.encoding == "bytes" else data.decode(self.encoding))

    def get(self, kind: str) -> None:
        self.stack.append(self.memo[self.source.number(kind)])

    def put(self, kind: str) -> None:
        self.memo[self.source.number(kind)] = self.stack[-1]

    def memoize(self) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def global_(self) -> None:
        module = self.source.line()
        self.stack.append(self.rules.find(*python3_name(module, self.source.line())))

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise UnpicklingError("a global is named by two texts")
        self.stack.append(self.rules.find(module, name))

    def reduce(self) -> None:
        args = self._tuple(self.stack.pop())
        self.stack[-1] = self.rules.call(self.stack[-1], args)

    def new_object(self) -> None:
        args = self._tuple(self.stack.pop())
        self.stack[-1] = self.rules.new(self.stack[-1], args, {})

    def new_object_named(self) -> None:
        named = self.stack.pop()
        args = self._tuple(self.stack.pop())
        if type(named) is not dict:
            raise UnpicklingError("named arguments are no dict")
        self.stack[-1] = self.rules.new(self.stack[-1], args, named)

    def _tuple(self, args: Any) -> tuple:
        if type(args) is not tuple:
            raise UnpicklingError(f"arguments are a {type(args).__name__}, not a tuple")
        return args

    def build(self) -> None:
        state = self.stack.pop()
        self.rules.build(self.stack[-1], state)

    def persistent(self) -> None:
        self.stack.append(self.rules.stored(self.stack.pop()))


def python3_name(module: str, name: str) -> tuple[str, str]:
    """Where Python 3 has what Python 2 had under these names; old protocols write the latter."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[module, name]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name


ACTIONS: dict[bytes, Callable[[Machine], Any]] = {
    pickle.PROTO: Machine.proto,
    pickle.FRAME: Machine.frame,
    pickle.MARK: Machine.mark,
    pickle.POP: Machine.pop,
    pickle.POP_MARK: Machine.unmark,
    pickle.DUP: Machine.duplicate,
    pickle.TUPLE: Machine.make_tuple,
    pickle.TUPLE1: lambda machine: machine.short_tuple(1),
    pickle.TUPLE2: lambda machine: machine.short_tuple(2),
    pickle.TUPLE3: lambda machine: machine.short_tuple(3),
    pickle.LIST: Machine.make_list,
    pickle.DICT: Machine.make_dict,
    pickle.FROZENSET: Machine.make_frozenset,
    pickle.APPEND: Machine.append,
    pickle.APPENDS: Machine.appends,
    pickle.SETITEM: Machine.set_item,
    pickle.SETITEMS: Machine.set_items,
    pickle.ADDITEMS: Machine.add_items,
    pickle.SHORT_BINSTRING: lambda machine: machine.old_text("B"),
    pickle.BINSTRING: lambda machine: machine.old_text("I"),
    pickle.BINGET: lambda machine: machine.get("B"),
    pickle.LONG_BINGET: lambda machine: machine.get("I"),
    pickle.BINPUT: lambda machine: machine.put("B"),
    pickle.LONG_BINPUT: lambda machine: machine.put("I"),
    pickle.MEMOIZE: Machine.memoize,
    pickle.GLOBAL: Machine.global_,
    pickle.STACK_GLOBAL: Machine.stack_global,
    pickle.REDUCE: Machine.reduce,
    pickle.NEWOBJ: Machine.new_object,
    pickle.NEWOBJ_EX: Machine.new_object_named,
    pickle.BUILD: Machine.build,
    pickle.BINPERSID: Machine.persistent,
}
