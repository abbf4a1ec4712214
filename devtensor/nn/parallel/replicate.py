"""Copies of a model on several devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.core.device import Device
from devtensor.core.tensor import Tensor
from devtensor.cuda.comm import devices_of
from devtensor.nn.modules.module import Module

__all__ = ["replicate"]


def replicate(network: Module, devices: Sequence[Any], detach: bool = False) -> list[Module]:
    """A copy of the model on each device; gradients of its parameters flow to the model's, unless `detach`.

    On the device where the model lies the copy has the model's own buffers, so what it writes there stays.
    """
    return [replica(network, device, detach) for device in devices_of("replicate", devices)]


def replica(network: Module, device: Device, detach: bool) -> Module:
    """A copy of the model on one device, whose parameters are plain attributes: they are no leaves."""
    modules = list(network.modules())
    copies = {id(module): module._replicate_for_data_parallel() for module in modules}
    moved: dict[int, Tensor] = {}

    def there(tensor: Tensor | None) -> Tensor | None:
        if tensor is None:
            return None
        if id(tensor) not in moved:
            found = tensor.to(device, non_blocking=True)
            moved[id(tensor)] = found.detach() if detach else found
        return moved[id(tensor)]

    for module in modules:
        made = copies[id(module)]
        for name, child in module._modules.items():
            made._modules[name] = None if child is None else copies[id(child)]
        for name, param in module._parameters.items():
            object.__setattr__(made, name, there(param))
        for name, buffer in module._buffers.items():
            made._buffers[name] = there(buffer)
    return copies[id(network)]
