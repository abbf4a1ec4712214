"""The door: the one way by which a device type gets its backend.

A plug-in is an entry point in the group `devtensor.backends`: its name is the device type, its value a
Backend or a function without arguments that makes one. Nothing is loaded before its device is used, and a
plug-in that fails costs its own device only: the reason is kept and shown by `status()`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from devtensor.backend.claims import GROUP, OFFERED, Claim, find_claims, offered_names
from devtensor.core.errors import DeviceError, DeviceMissing

if TYPE_CHECKING:
    from devtensor.backend.protocol import Backend

State = Literal["available", "unavailable", "broken", "excluded", "not loaded"]


class DeviceStatus(NamedTuple):
    """What the door knows of one device type; `count` is the number of devices, `source` who offers them."""

    name: str
    state: State
    count: int  # type: ignore[assignment]  # it hides tuple's own count
    reason: str
    source: str


class StatusTable(list[DeviceStatus]):
    """A list of DeviceStatus that prints as a table."""

    def __str__(self) -> str:
        rows = [("device", "state", "count", "source", "reason")]
        rows += [(s.name, s.state, str(s.count), s.source, s.reason) for s in self]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__


class Plugin:
    """One device type: who claims it and, once loaded, its backend or the reason why it has none."""

    def __init__(self, name: str, claims: list[Claim], backend: Backend | None = None) -> None:
        self.name = name
        self.claims = claims
        self.backend = backend
        self.error: BaseException | None = None
        self.reason = ""
        self.lock = threading.RLock()
        if len(claims) > 1:
            both = " and ".join(f"{claim.source} ({claim.value})" for claim in claims)
            self.reason = f"claimed by {both}: uninstall all but one, or call devtensor.backend.register"

    @property
    def source(self) -> str:
        return ", ".join(claim.source for claim in self.claims) or "register()"

    def load(self) -> None:
        """Import the plug-in, once; a failure becomes the reason."""
        if self.backend is not None or self.reason:
            return
        claim = self.claims[0]
        try:
            # Imported outside the lock: the import system has its own, and two that cross would hang.
            value = claim.load()
            with self.lock:
                if self.backend is None:
                    self.backend = made(value)
        except (Exception, SystemExit) as error:
            self.error = error
            failure = f"{type(error).__name__}: {error}"
            self.reason = f"{claim.value} failed to load: {failure}{claim.advice(error)}"

    def status(self, load: bool = True) -> DeviceStatus:
        """The plug-in's state; with `load` it is loaded first if it was not yet."""
        if load:
            self.load()
        if self.backend is not None:
            state, count, reason = self.ask(self.backend)
        else:
            state, count, reason = ("broken" if self.reason else "not loaded"), 0, self.reason
        return DeviceStatus(self.name, state, count, reason, self.source)

    def ask(self, backend: Backend) -> tuple[State, int, str]:
        """What a loaded backend says of itself now: its state, number of devices and reason."""
        try:
            reason = getattr(backend, "available", lambda: None)()
            count = backend.device_count() if reason is None else 0
        except Exception as error:
            self.error = error
            return "broken", 0, f"{type(error).__name__}: {error}"
        if reason is None and count:
            return "available", count, ""
        return "unavailable", 0, reason or "it counts no devices"


class Door:
    """All device types: those that entry points claim, and those registered by hand, which come first."""

    def __init__(self) -> None:
        self.registered: dict[str, Plugin] = {}
        self.listeners: list[Callable[[str], None]] = []
        self.lock = threading.RLock()
        self.found: dict[str, Plugin] | None = None
        self.excluded: dict[str, Plugin] = {}

    def plugins(self) -> dict[str, Plugin]:
        """Everything on offer by name; entry points are read at the first call."""
        with self.lock:
            if self.found is None:
                found = {name: Plugin(name, claims) for name, claims in find_claims().items()}
                offered = offered_names() or found.keys()
                self.found = {name: found[name] for name in found.keys() & offered}
                self.excluded = {name: found[name] for name in found.keys() - offered}
            return self.found | self.registered

    def names(self) -> list[str]:
        """Names of the device types on offer, cpu first; nothing is loaded."""
        return sorted(self.plugins(), key=lambda name: (name != "cpu", name))

    def get(self, name: str) -> Backend:
        """The backend that serves device type `name`, loaded if it was not yet.

        Errors: DeviceError if nobody offers the name, its plug-in is broken, or this machine cannot use it.
        """
        plugin = self.plugins().get(name)
        if plugin is None:
            raise DeviceMissing(f'[device] no device type "{name}"; {self.known()}; {self.absence(name)}')
        status = plugin.status()
        if status.state != "available" or plugin.backend is None:
            reason = f"{status.state}, from {status.source}: {status.reason}"
            raise DeviceMissing(
                f'[device] "{name}" cannot be used; {self.known()}; {reason}'
            ) from plugin.error
        return plugin.backend

    def known(self) -> str:
        return f"known devices are {', '.join(self.names()) or 'none'}"

    def absence(self, name: str) -> str:
        """Why nobody offers `name`, and what to do."""
        if name in self.excluded:
            return f"{OFFERED} leaves it out: add it there"
        return f'install a plug-in (entry-point group "{GROUP}"), or call devtensor.backend.register(backend)'

    def status(self, load: bool = True) -> StatusTable:
        """Every device type with its state and the reason; prints as a table.

        With `load=False` no plug-in is imported, and those not used yet read "not loaded".
        """
        plugins = self.plugins()
        table = StatusTable(plugins[name].status(load) for name in self.names())
        for name in sorted(self.excluded.keys() - plugins.keys()):
            table.append(DeviceStatus(name, "excluded", 0, self.absence(name), self.excluded[name].source))
        for name in sorted((offered_names() or frozenset()) - plugins.keys()):
            table.append(DeviceStatus(name, "broken", 0, "no plug-in offers it", OFFERED))
        return table

    def available(self, name: str) -> bool:
        """Whether `name` is on offer and can be used on this machine."""
        plugin = self.plugins().get(name)
        return plugin is not None and plugin.status().state == "available"

    def register(
        self, backend: Backend | Callable[[], Backend], name: str | None = None, replace: bool = False
    ) -> None:
        """Offer `backend` as device type `name` (its own name if none is given), as an entry point would.

        DEVTENSOR_BACKENDS does not limit what a program registers itself.

        Errors: DeviceError if the name is taken and `replace` is False, or the object is no backend.
        """
        backend = made(backend)
        name = backend.name if name is None else name
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise DeviceError(f"[register] {name!r} is no device type: use lower-case letters, digits and _")
        with self.lock:
            taken = self.plugins().get(name)
            if taken is not None and not replace:
                owner = f'"{name}" is offered by {taken.source}'
                raise DeviceError(f"[register] {owner}; pass replace=True to hide that one")
            self.registered[name] = Plugin(name, [], backend)
        self.tell(name)

    def unregister(self, name: str) -> None:
        """Take back what `register` offered as `name`; an entry point that it hid is on offer again.

        Errors: DeviceError if `name` was not registered.
        """
        with self.lock:
            if name not in self.registered:
                known = ", ".join(self.registered) or "none"
                raise DeviceError(f'[unregister] "{name}" was not registered; registered devices are {known}')
            del self.registered[name]
        self.tell(name)

    def tell(self, name: str) -> None:
        """Let those who keep backends (devices) know that `name` is served by another one now."""
        for listener in self.listeners:
            listener(name)


def made(value: Any) -> Backend:
    """`value` if it is a backend, else what it makes when called.

    Errors: DeviceError if the result lacks members that a backend needs.
    """
    is_factory = isinstance(value, type) or (callable(value) and not hasattr(value, "kernels"))
    backend: Any = value() if is_factory else value
    missing = [member for member in required_members() if not has(backend, member)]
    if missing:
        lacks = f"{type(backend).__name__} lacks {', '.join(missing)}"
        raise DeviceError(f"[backend] {lacks}; see devtensor.backend.protocol.Backend")
    return backend


def has(backend: Any, member: str) -> bool:
    """Whether the backend has the member; one that is computed when read is not read for that."""
    places = [vars(each) for each in type(backend).__mro__] + [getattr(backend, "__dict__", {})]
    return any(member in place for place in places) or hasattr(backend, member)


def required_members() -> list[str]:
    """Names of the members that the protocol asks of every backend."""
    from devtensor.backend.protocol import Backend

    return sorted(m for m in {*Backend.__annotations__, *vars(Backend)} if not m.startswith("_"))


door = Door()
names, get, status, available = door.names, door.get, door.status, door.available
register, unregister = door.register, door.unregister
