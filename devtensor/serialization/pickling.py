"""Pickling a state the way PyTorch does: its names for our objects, memory put aside in a table."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from types import FunctionType
from typing import Any, ClassVar

from devtensor.core.device import Device
from devtensor.core.dtype import DType
from devtensor.core.tensor import Size, Tensor, strides_of
from devtensor.functions.legacy import layout
from devtensor.nn.modules.members import Members
from devtensor.nn.parameter import Buffer, Parameter
from devtensor.serialization.names import TorchName, is_internal, path_of, their_path, torch_name
from devtensor.serialization.storing import StorageTable, Stored
from devtensor.storage import Memory
from devtensor.storage.typed import STORAGE_NAMES

# PyTorch's own loader reads this protocol only.
PROTOCOL = 2

# Python's own pickler in Python: the one in C names only what can be imported.
PythonPickler: Any = pickle._Pickler  # type: ignore[attr-defined]


class TorchPickler(PythonPickler):
    """Writes objects as PyTorch's loader expects them.

    `named` makes a storage's persistent id from what the table says of it.
    """

    dispatch: ClassVar[dict[type, Callable[..., None]]] = dict(PythonPickler.dispatch)

    def __init__(self, file: Any, table: StorageTable, named: Callable[[Stored], tuple]) -> None:
        super().__init__(file, protocol=PROTOCOL)
        self.table = table
        self.named = named

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        """Write one object; a module's members are plain dicts to PyTorch."""
        super().save(dict(obj) if type(obj) is Members else obj, save_persistent_id)

    def persistent_id(self, obj: Any) -> Any:
        """What stands for a storage."""
        if isinstance(obj, Stored):
            return self.named(obj)
        return self.named(self.table.keep(obj)) if isinstance(obj, Memory) else None

    def reducer_override(self, obj: Any) -> Any:
        """How objects of ours are taken apart."""
        if isinstance(obj, Tensor):
            return self._reduced(obj)
        kind = type(obj)
        if kind is Size:
            return torch_name("torch.Size"), (tuple(obj),)
        if kind is Device:
            return torch_name("torch.device"), (obj.type,) if obj.index is None else (obj.type, obj.index)
        if kind is layout:
            return torch_name("torch.serialization._get_layout"), (f"torch.{obj.name}",)
        return NotImplemented

    def _reduced(self, tensor: Tensor) -> tuple:
        state = {name: value for name, value in tensor.__dict__.items() if not is_internal(name)}
        if isinstance(tensor, Buffer):
            state["_is_buffer"] = True
        if type(tensor) is Parameter:
            facts = (_Plain(tensor), tensor.requires_grad, OrderedDict())
            if state:
                return torch_name("torch._utils._rebuild_parameter_with_state"), (*facts, state)
            return torch_name("torch._utils._rebuild_parameter"), facts
        if type(tensor) in (Tensor, Buffer) and not state:
            return self._plain(tensor, tensor.requires_grad)
        kind = Tensor if type(tensor) is Buffer else type(tensor)
        rebuild, arguments = self._plain(tensor, tensor.requires_grad)
        return torch_name("torch._tensor._rebuild_from_type_v2"), (rebuild, kind, arguments, state)

    def _plain(self, tensor: Tensor, requires_grad: bool) -> tuple:
        """The numbers, and how they are seen."""
        shape = tuple(tensor.array.shape)
        if tensor.device.type == "meta":
            facts = (tensor.dtype, shape, strides_of(tensor), requires_grad)
            return torch_name("torch._utils._rebuild_meta_tensor_no_storage"), facts
        stored, offset, strides = self.table.see(tensor)
        facts = (stored, offset, shape, strides, requires_grad, OrderedDict())
        if tensor.dtype.name in STORAGE_NAMES:
            return torch_name("torch._utils._rebuild_tensor_v2"), facts
        return torch_name("torch._utils._rebuild_tensor_v3"), (*facts, tensor.dtype)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write where a class or function is to be found: ours under PyTorch's names."""
        theirs = their_path(path_of(obj)) if name is None and hasattr(obj, "__qualname__") else None
        if theirs is None:
            super().save_global(obj, name)
        else:
            self.save(torch_name(theirs))

    def save_torch_name(self, obj: TorchName) -> None:
        """Write a name of PyTorch's."""
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        self.memoize(obj)

    def save_dtype(self, obj: DType) -> None:
        """Write a dtype, which PyTorch finds by its name."""
        self.save(torch_name(f"torch.{obj.name}"))

    def save_plain(self, obj: _Plain) -> None:
        """Write a parameter's tensor, which requires no gradient."""
        self.save_reduce(*self._plain(obj.tensor, False), obj=obj)


class _Plain:
    """A parameter's numbers, without the parameter."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


TorchPickler.dispatch |= {
    FunctionType: TorchPickler.save_global,
    TorchName: TorchPickler.save_torch_name,
    DType: TorchPickler.save_dtype,
    _Plain: TorchPickler.save_plain,
}
