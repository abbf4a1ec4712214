"""Under which names PyTorch's files know our objects, and the other way round; torch is never imported."""

from __future__ import annotations

from functools import cache
from typing import Any

from devtensor.core.dtype import DTYPES, DType
from devtensor.storage.typed import STORAGE_DTYPES

# Dtypes without a storage of their own: their numbers are saved as bytes, the dtype beside them.
UNTYPED = "UntypedStorage"

OURS, THEIRS = "devtensor", "torch"

# Where PyTorch has a class at another path than ours.
MOVED = {
    "devtensor.core.tensor.Tensor": "torch.Tensor",
    "devtensor.core.tensor.Size": "torch.Size",
    "devtensor.core.device.Device": "torch.device",
}


class TorchName:
    """A name to be written where a pickle names a global, of something that need not exist here."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    def __call__(self, *_: Any) -> None:
        raise TypeError(f"{self} is a name to be written, not a function to be called")

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@cache
def torch_name(path: str) -> TorchName:
    """The one TorchName of a dotted path, so that a pickle can refer back to it."""
    module, _, name = path.rpartition(".")
    return TorchName(module, name)


def path_of(value: Any) -> str:
    """The dotted path under which a class or function says that it can be found."""
    return f"{value.__module__}.{value.__qualname__}"


def their_path(path: str) -> str | None:
    """Where PyTorch has what we have at `path`; None for what is not ours."""
    if path in MOVED:
        return MOVED[path]
    package, dot, rest = path.partition(".")
    return f"{THEIRS}.{rest}" if package == OURS and dot else None


def storage_paths() -> dict[str, DType | None]:
    """The paths of all storages that files name, with their dtypes; None where it stands elsewhere."""
    found: dict[str, DType | None] = {
        f"{module}.{name}": dtype
        for name, dtype in STORAGE_DTYPES.items()
        for module in ("torch", "torch.cuda", "torch.storage")
    }
    return found | {"torch.UntypedStorage": None, "torch.storage.UntypedStorage": None}


def dtype_paths() -> dict[str, DType]:
    """The paths of all dtypes that exist here."""
    return {f"{THEIRS}.{name}": dtype for name, dtype in DTYPES.items()}


def tensor_paths() -> list[str]:
    """The paths of the classes of tensors that old files name beside each tensor."""
    names = [name.replace("Storage", "Tensor") for name in STORAGE_DTYPES]
    return [f"{module}.{name}" for name in names for module in (THEIRS, f"{THEIRS}.cuda")]


def is_internal(name: str) -> bool:
    """Whether an attribute of a tensor is the tape's own: hooks, and what finds the leaf's node."""
    return name in ("_accumulator", "_retains_grad") or (name.startswith("_") and name.endswith("_hooks"))
