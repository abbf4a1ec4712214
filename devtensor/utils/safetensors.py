"""save and load: nested state in one safetensors file, written whole or not at all.

The file is a plain safetensors file. Every tensor of the state stands in it under the keys that lead to it,
joined by dots: `{"model": {"fc.weight": w}, "steps": [t]}` gives `model.fc.weight` and `steps.0`, readable by
any safetensors reader. Where two paths give one name, the later one gets `~2`, `~3` ... behind it.

The metadata entry `devtensor` is JSON: the state, with what JSON lacks written as an object of one key:

    {"$tensor": name}              {"$tuple": [items]}         {"$float": "nan" | "inf" | "-inf"}
    {"$dict": [[key, value]]}      {"$dtype": name}            {"$device": name}

`$dict` stands for a dict whose keys are not all text, or start with `$`; so a key may be any text with any
dots, a number, a bool, None or a tuple of these, and comes back as it was. Subclasses of dict, list and tuple
come back as the plain kind. Handles on the same view of the same memory, such as tied weights, are stored
once and come back as one tensor; views that merely overlap are stored in full, each for itself.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from devtensor.core.device import Device, resolve
from devtensor.core.dtype import DTYPES, DType, as_dtype
from devtensor.core.errors import ArgumentTypeError, CheckpointError
from devtensor.core.host import host_read
from devtensor.core.tensor import Tensor, describe, storage_of
from devtensor.core.transfer import HostData
from devtensor.ops.create import constant
from devtensor.serialization.files import replacing

FORMAT = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
    "uint16": "U16", "uint32": "U32", "uint64": "U64", "complex64": "C64", "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
}  # fmt: skip
FROM_FORMAT = {name: DTYPES[dtype] for dtype, name in FORMAT.items()}

ENTRY = "devtensor"
# Data begin at a multiple of this many bytes, so that they can be mapped.
ALIGNMENT = 8


def save(path: str | os.PathLike, state: Any) -> None:
    """Write nested dicts, lists and tuples of tensors, numbers, text, bools, None, dtypes and devices.

    The file appears when it is complete: a failure or a kill in between leaves the old one as it was. (After
    a kill a hidden file that ends in `.partial` stays beside it.)

    Errors: ArgumentTypeError names the path of a value that cannot be stored; OSError if the disk refuses.
    Example: `save("run.safetensors", {"model": model.state_dict(), "epoch": 3})`.
    """
    writing = Writing()
    tree = writing.encode(state, ())
    text = json.dumps(tree, allow_nan=False, separators=(",", ":"))
    with replacing(path) as file:
        _write(file, writing.tensors, {ENTRY: text})


def load(path: str | os.PathLike, device: Any = None) -> Any:
    """Read what `save` wrote; tensors come on `device`, the CPU if none is named.

    A safetensors file by somebody else comes as a flat dict of its tensors.

    Errors: CheckpointError if the file is no safetensors file, is cut short, or holds a dtype that is not
    supported; OSError if it cannot be opened.
    """
    target = resolve("cpu" if device is None else device)
    metadata, found = _read(Path(path))
    tensors = {name: _tensor(path, name, entry, target) for name, entry in found}
    if ENTRY not in metadata:
        return tensors
    try:
        return _decode(json.loads(metadata[ENTRY]), tensors)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"[load] {path} holds a damaged description of its state: {error!r}; save it anew"
        ) from None


class Writing:
    """A state on its way into a file: which tensors it holds, under which names."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.seen: dict[int, list[tuple[tuple, str]]] = {}

    def encode(self, value: Any, path: tuple) -> Any:
        """The JSON form of a value; tensors are put aside."""
        if isinstance(value, Tensor):
            return {"$tensor": self.name_of(value, path)}
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
        if isinstance(value, dict):
            return self.encode_dict(value, path)
        if isinstance(value, (list, tuple)):
            items = [self.encode(item, (*path, str(place))) for place, item in enumerate(value)]
            return items if isinstance(value, list) else {"$tuple": items}
        if isinstance(value, DType):
            return {"$dtype": value.name}
        if isinstance(value, Device):
            return {"$device": str(value)}
        raise ArgumentTypeError(
            f"[save] {'.'.join(path) or 'the state'} is of type {type(value).__name__}; a state holds "
            "tensors, numbers, text, bools, None, dtypes, devices, and dicts, lists and tuples of them"
        )

    def encode_dict(self, value: dict, path: tuple) -> Any:
        """An object where all keys are text, else the list of its pairs."""
        pairs = [(key, self.encode(item, (*path, str(key)))) for key, item in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {str(key): item for key, item in pairs}
        return {"$dict": [[self.encode_key(key, path), item] for key, item in pairs]}

    def encode_key(self, key: Any, path: tuple) -> Any:
        """A key's JSON form.

        Errors: ArgumentTypeError for kinds of keys that would not come back as they were.
        """
        if isinstance(key, (Tensor, dict, list)):
            raise ArgumentTypeError(
                f"[save] {'.'.join(path) or 'the state'} has a key of type {type(key).__name__}; "
                "use text, numbers or tuples"
            )
        return self.encode(key, (*path, f"key {key!r}"))

    def name_of(self, tensor: Tensor, path: tuple) -> str:
        """The name under which a tensor is stored: its path's, or that of another handle on the same view."""
        storage = storage_of(tensor)
        chain: tuple = tensor.alias.chain
        known = self.seen.setdefault(id(storage), [])
        for other, name in known:
            if other == chain:
                return name
        wanted = ".".join(path) or "tensor"
        name, number = wanted, 1
        while name in self.tensors or name == "__metadata__":
            number += 1
            name = f"{wanted}~{number}"
        self.tensors[name] = tensor
        known.append((chain, name))
        return name


def _write(file: BinaryIO, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """The format: length of the header, header as JSON, data; wide dtypes first, so that all are aligned."""
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, tensor in ordered:
        start, end = end, end + tensor.shape.numel() * tensor.dtype.itemsize
        if tensor.dtype.name not in FORMAT:
            raise ArgumentTypeError(
                f"[save] {name} is {describe(tensor)}; the format holds {', '.join(FORMAT)}; convert it first"
            )
        header[name] = {
            "dtype": FORMAT[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    file.write(len(text).to_bytes(8, "little") + text)
    for _, tensor in ordered:
        file.write(host_read(tensor, "save").data)


def _read(path: Path) -> tuple[dict[str, str], Iterator[tuple[str, dict]]]:
    """A file's metadata and tensors, checked by the format's own library."""
    from safetensors import SafetensorError, deserialize  # type: ignore[attr-defined]

    content = path.read_bytes()
    try:
        found = deserialize(content)
    except SafetensorError as error:
        raise CheckpointError(
            f"[load] {path} ({len(content)} bytes) is no complete safetensors file: {error}; "
            "it is cut short or of another format"
        ) from None
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]).get("__metadata__", {}), iter(found)


def _tensor(path: Any, name: str, entry: dict, device: Device) -> Tensor:
    dtype = FROM_FORMAT.get(entry["dtype"])
    if dtype is None:
        known = ", ".join(FROM_FORMAT)
        raise CheckpointError(f"[load] {path}: {name} has dtype {entry['dtype']}; supported are {known}")
    return constant(HostData(bytes(entry["data"]), tuple(entry["shape"])), dtype, device)


def _decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    """What `Writing.encode` gave, as it was."""
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    kind = next(iter(value), "")
    if not kind.startswith("$"):
        return {key: _decode(item, tensors) for key, item in value.items()}
    return DECODERS[kind](value[kind], tensors)


DECODERS = {
    "$tensor": lambda name, tensors: tensors[name],
    "$tuple": lambda items, tensors: tuple(_decode(items, tensors)),
    "$dict": lambda pairs, tensors: {_decode(key, tensors): _decode(item, tensors) for key, item in pairs},
    "$float": lambda text, tensors: float(text),
    "$dtype": lambda name, tensors: as_dtype(name),
    "$device": lambda name, tensors: Device(name),
}

__all__ = ["load", "save"]
