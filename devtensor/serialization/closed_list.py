"""The closed list of what a checkpoint may name without its user's word, and what is known to be refused."""

from __future__ import annotations

import codecs
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

from devtensor.core.device import Device
from devtensor.core.tensor import Size, Tensor
from devtensor.functions.legacy import layout, strided
from devtensor.nn.parameter import Parameter
from devtensor.serialization import rebuilding
from devtensor.serialization.errors import UnpicklingError
from devtensor.serialization.keys import checked_key
from devtensor.serialization.names import dtype_paths, storage_paths, tensor_paths
from devtensor.serialization.rebuilding import Allowed, StorageType

# What a defaultdict may make by itself.
FACTORIES = (bool, dict, float, int, list, set, str, tuple, Counter, OrderedDict)

LIMIT = 1 << 63


def _device(name: Any, index: Any = None) -> Device:
    if type(name) is not str or not (index is None or (type(index) is int and index >= 0)):
        raise UnpicklingError("a device is a text and a number")
    return Device(name, index)


def _size(sizes: Any = ()) -> Size:
    if type(sizes) not in (tuple, list) or not all(type(n) is int and 0 <= n < LIMIT for n in sizes):
        raise UnpicklingError("a Size is a tuple of ints")
    return Size(sizes)


def _layout(name: Any) -> layout:
    if name != f"torch.{strided.name}":
        raise UnpicklingError(f"layout {name!r:.60}: only torch.strided exists in devtensor")
    return strided


def _encoded(text: Any, codec: Any = "latin1") -> bytes:
    """Bytes, as protocol 2 writes them; any other codec could make much of little."""
    if type(text) is not str or codec not in ("latin1", "latin-1"):
        raise UnpicklingError("_codecs.encode is for text in latin1 only")
    return text.encode("latin1")


def _bytearray(data: Any = b"", codec: Any = None) -> bytearray:
    if codec is not None:
        data = _encoded(data, codec)
    if type(data) not in (bytes, bytearray):
        raise UnpicklingError("a bytearray is made of bytes")
    return bytearray(data)


def _complex(real: Any = 0.0, imag: Any = 0.0) -> complex:
    if type(real) not in (int, float) or type(imag) not in (int, float):
        raise UnpicklingError("a complex number is made of two numbers")
    return complex(real, imag)


def _items(items: Any) -> list[Any]:
    if type(items) not in (list, tuple, set, frozenset):
        raise UnpicklingError(f"a set is made of a list, not of a {type(items).__name__}")
    return [checked_key(item) for item in items]


def _ordered(pairs: Any = ()) -> OrderedDict:
    if type(pairs) not in (list, tuple) or not all(type(p) in (list, tuple) and len(p) == 2 for p in pairs):
        raise UnpicklingError("an OrderedDict is made of pairs")
    return OrderedDict((checked_key(key), value) for key, value in pairs)


def _counter(counts: Any = None) -> Counter:
    if counts is not None and type(counts) is not dict:
        raise UnpicklingError("a Counter is made of a dict")
    return Counter(counts)


def _defaultdict(factory: Any = None) -> defaultdict:
    if factory is not None and not any(factory is each for each in FACTORIES):
        raise UnpicklingError("a defaultdict may make plain containers and numbers only")
    return defaultdict(factory)


def _parameter(data: Any = None, requires_grad: Any = True) -> Parameter:
    if not isinstance(data, Tensor) or type(requires_grad) is not bool:
        raise UnpicklingError("a Parameter is made of a tensor and a bool")
    return Parameter(data, requires_grad)


# Path -> (what stands on the machine's stack, what calling it does; None: it may be named but not called).
Entry = tuple[Any, Callable[..., Any] | None]
CLOSED: dict[str, Entry] = {
    "collections.OrderedDict": (OrderedDict, _ordered),
    "collections.Counter": (Counter, _counter),
    "collections.defaultdict": (defaultdict, _defaultdict),
    "_codecs.encode": (codecs.encode, _encoded),
    "builtins.bytearray": (bytearray, _bytearray),
    "builtins.complex": (complex, _complex),
    "builtins.set": (set, lambda items=(): set(_items(items))),
    "builtins.frozenset": (frozenset, lambda items=(): frozenset(_items(items))),
    "torch.Size": (Size, _size),
    "torch.device": (Device, _device),
    "torch.serialization._get_layout": (Allowed("_get_layout"), _layout),
    "torch.Tensor": (Tensor, None),
    "torch._tensor.Tensor": (Tensor, None),
    "torch.nn.parameter.Parameter": (Parameter, _parameter),
    **{f"builtins.{kind.__name__}": (kind, None) for kind in (bool, dict, float, int, list, str, tuple)},
    **{path: (dtype, None) for path, dtype in dtype_paths().items()},
    **{path: (Allowed(path), None) for path in tensor_paths()},
    **{path: (StorageType(dtype), None) for path, dtype in storage_paths().items()},
    **{f"torch._utils.{name}": (Allowed(name), function) for name, function in rebuilding.FUNCTIONS.items()},
}

# What PyTorch's files may hold that has no counterpart here.
REFUSED = {
    "torch._utils._rebuild_sparse_tensor": "sparse tensors",
    "torch._utils._rebuild_sparse_csr_tensor": "sparse tensors",
    "torch._utils._rebuild_qtensor": "quantized tensors",
    "torch._utils._rebuild_nested_tensor": "nested tensors",
    "torch._utils._rebuild_wrapper_subclass": "subclasses that wrap tensors",
    "torch._utils._rebuild_device_tensor_from_numpy": "tensors of devices without storage",
    "torch.complex32": "numbers of dtype complex32",
    "torch.ComplexHalfStorage": "numbers of dtype complex32",
}
