"""PyTorch's samples as ours: tensors with their very strides, dtypes, generators, and functions by name."""

from __future__ import annotations

import types
from typing import Any

import numpy as np

import devtensor

# Set by `use`: the test module hands PyTorch in, so that nothing here imports it.
torch: Any = None
DTYPES: dict[Any, Any] = {}
SOURCE = "torch.testing"


class NotComparable(Exception):
    """A sample, or a result, of a kind that devtensor does not have: sparse, quantised, complex32."""


def use(module: Any) -> None:
    """Take PyTorch, and learn which of its dtypes are which of ours."""
    global torch
    torch = module
    names = (
        "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128 "
        "uint16 uint32 uint64"
    )
    DTYPES.update({getattr(module, name): getattr(devtensor, name) for name in names.split()})


def flat(value: Any) -> list:
    """The leaves of nested sequences and mappings."""
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in flat(item)]
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in flat(item)]
    return [value]


def to_numpy(tensor: Any) -> np.ndarray:
    """The numbers of either library's tensor; bfloat16 as float32."""
    tensor = tensor.detach()
    if isinstance(tensor, torch.Tensor):
        if tensor._is_zerotensor():
            tensor = torch.zeros(tensor.shape, dtype=tensor.dtype)
        tensor = tensor.resolve_conj().resolve_neg()
    half = tensor.dtype in (torch.bfloat16, devtensor.bfloat16)
    return (tensor.float() if half else tensor).numpy()


def carried_tensor(tensor: Any, memo: dict[Any, Any]) -> Any:
    """The same numbers behind the same strides; tensors that share memory share it."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.dtype not in DTYPES:
        raise NotComparable(f"{tensor.layout} {tensor.device} {tensor.dtype}")
    plain = tensor.detach().resolve_conj().resolve_neg()
    if plain._is_zerotensor():
        plain = plain.clone()
    size, start = plain.untyped_storage().nbytes() // plain.element_size(), plain.storage_offset()
    place = plain.untyped_storage().data_ptr(), plain.dtype
    if place not in memo or not size:
        memory = to_numpy(plain.as_strided((size,), (1,), 0)).copy()
        # Kept beside its memory, whose address no other tensor gets meanwhile.
        memo[place] = devtensor.from_numpy(memory).to(DTYPES[tensor.dtype]), plain
    base, _ = memo[place]
    made = base.as_strided(tuple(plain.shape), tuple(plain.stride()), start if plain.numel() else 0).detach()
    if isinstance(tensor, torch.nn.Parameter):
        return devtensor.nn.Parameter(made, tensor.requires_grad)
    return made.requires_grad_(tensor.requires_grad) if tensor.requires_grad else made


def fresh(value: Any, memo: dict[int, Any]) -> Any:
    """A sample's argument with leaves of its own: gradients go to what was given, not what it views."""
    if isinstance(value, torch.Tensor):
        if not value.requires_grad:
            return value
        if id(value) not in memo:
            # The tensor itself is kept beside its leaf, so that no other takes its id.
            memo[id(value)] = value, value.detach().requires_grad_()
        return memo[id(value)][1]
    if isinstance(value, (tuple, list)) and not isinstance(value, torch.Size):
        return type(value)(fresh(item, memo) for item in value)
    if isinstance(value, dict):
        return {key: fresh(item, memo) for key, item in value.items()}
    return value


def carried(value: Any, memo: dict[Any, Any]) -> Any:
    """A sample's argument as ours; the same tensor twice is the same tensor twice."""
    if isinstance(value, torch.Tensor):
        if id(value) not in memo:
            memo[id(value)] = carried_tensor(value, memo)
        return memo[id(value)]
    if isinstance(value, torch.dtype):
        if value not in DTYPES:
            raise NotComparable(str(value))
        return DTYPES[value]
    if isinstance(value, torch.layout) and value is not torch.strided:
        raise NotComparable(str(value))
    if isinstance(value, (torch.device, torch.memory_format, torch.layout)):
        text = str(value).removeprefix("torch.")
        return devtensor.device(text) if isinstance(value, torch.device) else getattr(devtensor, text)
    if isinstance(value, torch.Generator):
        return devtensor.Generator().manual_seed(value.initial_seed())
    if isinstance(value, torch.nn.Module):
        options = encoder_layer_options(value) if hasattr(value, "self_attn") else {}
        return getattr(devtensor.nn, type(value).__name__)(**carried(options, memo))
    if isinstance(value, types.BuiltinFunctionType):
        return getattr(devtensor.nn.functional, value.__name__, value)
    if isinstance(value, (tuple, list)):
        made = [carried(item, memo) for item in value]
        return devtensor.Size(made) if isinstance(value, torch.Size) else type(value)(made)
    if isinstance(value, dict):
        return {key: carried(item, memo) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(*(carried(part, memo) for part in (value.start, value.stop, value.step)))
    return rebound(value) if isinstance(value, types.FunctionType) else value


def encoder_layer_options(layer: Any) -> dict[str, Any]:
    """What a layer of PyTorch's encoder was made with."""
    return {
        "d_model": layer.self_attn.embed_dim,
        "nhead": layer.self_attn.num_heads,
        "dim_feedforward": layer.linear1.out_features,
        "dropout": layer.dropout.p,
        "activation": layer.activation.__name__,
        "layer_norm_eps": layer.norm1.eps,
        "batch_first": layer.self_attn.batch_first,
        "norm_first": layer.norm_first,
        "bias": layer.linear1.bias is not None,
        "dtype": layer.linear1.weight.dtype,
    }


def named(path: str) -> Any:
    """Our function under a dotted path of PyTorch's."""
    found: Any = devtensor
    for part in path.split("."):
        found = getattr(found, part)
    return found


def rebound(function: types.FunctionType) -> types.FunctionType:
    """A function of PyTorch's test suite with devtensor where it says torch."""
    replaced = {id(torch): devtensor, id(torch.Tensor): devtensor.Tensor}
    replaced[id(torch.nn.functional)] = devtensor.nn.functional
    scope = {name: replaced.get(id(value), value) for name, value in function.__globals__.items()}
    cells = tuple(types.CellType(_inner(cell.cell_contents)) for cell in function.__closure__ or ())
    made = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, cells)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _inner(value: Any) -> Any:
    """What a closure holds, as ours."""
    module = getattr(value, "__module__", None) or ""
    if isinstance(value, types.FunctionType) and module.startswith("torch"):
        return rebound(value) if module.startswith(SOURCE) else named(f"{module}.{value.__name__}"[6:])
    if isinstance(value, types.BuiltinFunctionType) and hasattr(devtensor, value.__name__):
        return getattr(devtensor, value.__name__)
    return value


def counterpart(entry: Any) -> Any:
    """Our function for an entry of PyTorch's list.

    Errors: AttributeError if there is none.
    """
    function = entry.op
    if isinstance(function, types.FunctionType) and function.__module__.startswith(SOURCE):
        return rebound(function)
    if entry.name.startswith("__"):
        return getattr(devtensor.Tensor, entry.name)
    try:
        found = named(entry.name)
    except AttributeError:
        return getattr(devtensor.Tensor, entry.name)
    return found if callable(found) else getattr(devtensor.Tensor, entry.name)
