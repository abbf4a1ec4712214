"""On which device a stored memory goes: location tags, `map_location`, and packages that add devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.backend import available, get, names
from devtensor.core.device import Device, resolve
from devtensor.core.errors import ArgumentTypeError, DeviceError
from devtensor.core.tensor import wrap
from devtensor.storage import Memory

__all__ = ["default_restore_location", "location_tag", "register_package", "validate_cuda_device"]

Tagger = Callable[[Any], str | None]
Deserializer = Callable[[Any, str], Any]
Restore = Callable[[Memory, str], Memory]

# Device types that PyTorch's files name, whether or not a plug-in for them is installed.
KNOWN = frozenset({"cuda", "hpu", "mps", "mtia", "xpu"})

ADVICE = (
    "If you are running on a CPU-only machine, please use load with map_location=devtensor.device('cpu') "
    "to map your storages to the CPU."
)


def _tag(storage: Memory) -> str:
    return str(storage.device)


def _restored(storage: Memory, location: str) -> Memory | None:
    """The memory on the device that a tag names; None if no backend knows the name."""
    name = location.partition(":")[0]
    if name not in names() and name not in KNOWN:
        return None
    made = storage.to(device=_usable(location))
    if made is not storage:
        # Nobody has seen this memory yet: the tensor that sees it first may choose its dtype and shape.
        made.held = wrap(made.held.array, made.held.kind)
    return made


def _usable(location: str) -> Device:
    """The device that a tag names.

    Errors: DeviceError, with what to do, if it cannot be used on this machine.
    """
    name = location.partition(":")[0]
    if not available(name):
        raise DeviceError(
            f"[load] Attempting to deserialize object on a {name.upper()} device but "
            f"devtensor.{name}.is_available() is False. {ADVICE}"
        )
    try:
        return resolve(Device(location))
    except DeviceError:
        count = get(name).device_count()
        raise DeviceError(
            f"[load] Attempting to deserialize object on {name.upper()} device {location.partition(':')[2]} "
            f"but devtensor.{name}.device_count() is {count}. Please use load with map_location to map your "
            "storages to an existing device."
        ) from None


_packages: list[tuple[int, Tagger, Deserializer]] = [(20, _tag, _restored)]


def register_package(priority: int, tagger: Tagger, deserializer: Deserializer) -> None:
    """Add a way to name where a storage lies, and to bring one there; the lowest priority is asked first.

    `tagger(storage)` gives a text or None, `deserializer(storage, location)` a storage or None.
    """
    _packages.append((priority, tagger, deserializer))
    _packages.sort(key=lambda entry: entry[0])


def location_tag(storage: Any) -> str:
    """The text that says in a file where a storage lay."""
    for _, tagger, _ in _packages:
        found = tagger(storage)
        if found:
            return found
    raise DeviceError(f"[save] don't know how to determine data location of {type(storage).__name__}")


def default_restore_location(storage: Any, location: str) -> Any:
    """The storage on the device that a tag names.

    Errors: DeviceError if the device cannot be used, or nobody knows the tag.
    """
    for _, _, deserializer in _packages:
        found = deserializer(storage, location)
        if found is not None:
            return found
    raise DeviceError(
        f"[load] don't know how to restore data location of {type(storage).__name__} (tagged with "
        f"{location}); give map_location, such as 'cpu'"
    )


def validate_cuda_device(location: str) -> int:
    """The number of the CUDA device that a tag names.

    Errors: DeviceError if it cannot be used.
    """
    return _usable(location).index or 0


def restorer(map_location: Any) -> Restore:
    """What brings storages to their devices under a `map_location`: a device, a dict of tags, or a function.

    Errors: ArgumentTypeError for anything else.
    """
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        places = {str(tag): str(place) for tag, place in map_location.items()}
        return lambda storage, tag: default_restore_location(storage, places.get(tag, tag))
    if isinstance(map_location, bytes):
        map_location = map_location.decode("ascii")
    if isinstance(map_location, (str, Device)):
        place = str(map_location)
        return lambda storage, tag: default_restore_location(storage, place)
    if not callable(map_location):
        raise ArgumentTypeError(
            f"[load] map_location is a {type(map_location).__name__}; it needs a device, a text, a dict or a "
            "function of a storage and its location"
        )
    return lambda storage, tag: _chosen(map_location(storage, tag), storage, tag)


def _chosen(found: Any, storage: Memory, tag: str) -> Memory:
    if found is None:
        return default_restore_location(storage, tag)
    if not isinstance(found, Memory) or found.nbytes() != storage.nbytes():
        raise ArgumentTypeError(
            f"[load] map_location gave {type(found).__name__}; it needs to give a storage of as many bytes, "
            "or None"
        )
    return found
