"""Copies between several CUDA devices by PyTorch's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.core.device import Device, resolve
from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.joining import cat
from devtensor.functions.tensors import copy_, to

__all__ = [
    "broadcast",
    "broadcast_coalesced",
    "gather",
    "reduce_add",
    "reduce_add_coalesced",
    "scatter",
]


def devices_of(name: str, devices: Sequence[Any] | None) -> list[Device]:
    """The CUDA devices that devices, texts and numbers stand for; None: all of them.

    Errors: ArgumentError if one is of another type.
    """
    if devices is None:
        count = resolve("cuda").backend.device_count()
        devices = range(count)
    found = [resolve(f"cuda:{each}" if isinstance(each, int) else each) for each in devices]
    if not found or any(each.type != "cuda" for each in found):
        raise ArgumentError(f"[{name}] got devices {[str(each) for each in found]}; it needs CUDA devices")
    return found


def on(tensor: Tensor, device: Device) -> Tensor:
    """The tensor on a device, the copy not waited for."""
    return to(tensor, device, non_blocking=True)


def fill_out(out: Sequence[Tensor], made: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The tensors of the caller's, with the results in them."""
    return tuple(copy_(target, part, non_blocking=True) for target, part in zip(out, made, strict=True))


def one_of(name: str, devices: Any, out: Any) -> None:
    if (devices is None) == (out is None):
        raise ArgumentError(f"[{name}] exactly one of 'devices' and 'out' must be given")


def broadcast(tensor: Tensor, devices: Any = None, *, out: Any = None) -> tuple[Tensor, ...]:
    """The tensor on each of several devices, or copied into the tensors `out`.

    Errors: ArgumentError unless exactly one of `devices` and `out` is given.
    """
    one_of("broadcast", devices, out)
    if out is not None:
        return fill_out(out, [tensor] * len(out))
    return tuple(on(tensor, device) for device in devices_of("broadcast", devices))


def broadcast_coalesced(
    tensors: Sequence[Tensor], devices: Any, buffer_size: int = 10485760
) -> list[tuple[Tensor, ...]]:
    """For each device copies of all tensors; `buffer_size` is taken, each is copied by itself."""
    return [tuple(on(each, device) for each in tensors) for device in devices_of("broadcast", devices)]


def reduce_add(inputs: Sequence[Tensor], destination: Any = None) -> Tensor:
    """The sum of tensors of several devices, on `destination` or the current device.

    Errors: ArgumentError for tensors that lie elsewhere, or whose shapes differ.
    """
    home = devices_of("reduce_add", ["cuda" if destination is None else destination])[0]
    first = inputs[0]
    for each in inputs:
        if each.device.type != "cuda" or each.shape != first.shape:
            raise ArgumentError(
                f"[reduce_add] got {describe(each)} beside {describe(first)}; "
                "all must be CUDA tensors of one shape"
            )
    total = on(first, home)
    for each in inputs[1:]:
        total = total + on(each, home)
    return total


def reduce_add_coalesced(
    inputs: Sequence[Sequence[Tensor]], destination: Any = None, buffer_size: int = 10485760
) -> tuple[Tensor, ...]:
    """Sums of the tensors that stand at one place of several lists; `buffer_size` is taken."""
    return tuple(reduce_add(each, destination) for each in zip(*inputs, strict=True))


def scatter(
    tensor: Tensor,
    devices: Any = None,
    chunk_sizes: Sequence[int] | None = None,
    dim: int = 0,
    streams: Any = None,
    *,
    out: Any = None,
) -> tuple[Tensor, ...]:
    """Parts of the tensor along `dim`, one for each device, or copied into the tensors `out`.

    Errors: ArgumentError for `devices` or `chunk_sizes` beside `out`.
    """
    if out is not None:
        if devices is not None or chunk_sizes is not None:
            raise ArgumentError("[scatter] 'devices' and 'chunk_sizes' must be None where 'out' is given")
        return fill_out(out, tensor.split([each.shape[dim] for each in out], dim))
    places = devices_of("scatter", devices)
    parts = tensor.chunk(len(places), dim) if chunk_sizes is None else tensor.split(list(chunk_sizes), dim)
    return tuple(on(part, place) for part, place in zip(parts, places, strict=False))


def gather(tensors: Sequence[Tensor], dim: int = 0, destination: Any = None, *, out: Any = None) -> Tensor:
    """The tensors of several devices joined along `dim`, on `destination`, the current device, or in `out`.

    Errors: ArgumentError for both `destination` and `out`.
    """
    if out is not None:
        if destination is not None:
            raise ArgumentError("[gather] 'destination' must be None where 'out' is given")
        return copy_(out, cat([on(each, out.device) for each in tensors], dim))
    place = resolve("cuda" if destination is None else destination)
    return cat([to(each, place) for each in tensors], dim)
