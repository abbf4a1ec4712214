"""The one device on which an op runs, and which tensors of the CPU may join it."""

from __future__ import annotations

from devtensor.core.device import Device, resolve
from devtensor.core.errors import DeviceError
from devtensor.core.op import Op
from devtensor.core.tensor import Tensor

# Ops whose indices may lie on the CPU.
INDEXING = frozenset({"index_get", "index_put"})


def common_device(op: Op, inputs: tuple, params: tuple) -> Device:
    """The one device of all inputs; CPU tensors without dimensions, and indices in brackets, may join any.

    Errors: DeviceError that names the devices.
    """
    devices = {i.kind.device for i in inputs if isinstance(i, Tensor)}
    if len(devices) == 1:
        return devices.pop()
    if not devices:
        named = [p for p in params if isinstance(p, Device)]
        return named[0] if named else resolve(None)
    for device in devices:
        if device.under and devices <= {device, *device.under}:
            return device
    # Tensors without data read no indices.
    free = any(device.type == "meta" for device in devices)
    bound = {
        i.kind.device for p, i in enumerate(inputs) if isinstance(i, Tensor) and not may_move(op, p, i, free)
    }
    if len(bound) == 1:
        return bound.pop()
    raise misfit(op, inputs)


def misfit(op: Op, inputs: tuple) -> DeviceError:
    """What to tell of inputs that lie on several devices; a user mostly wants them where no CPU is."""
    tensors = [(place, i.kind.place) for place, i in enumerate(inputs) if isinstance(i, Tensor)]
    devices = list(dict.fromkeys(str(device) for _, device in tensors))
    wanted = next((name for name in devices if name not in ("cpu", "meta")), devices[0])
    told = ", ".join(f"{op.input_name(place)} is on {device}" for place, device in tensors)
    return DeviceError(
        f"[{op.name}] Expected all tensors to be on the same device, but found at least two devices, "
        f'{" and ".join(devices[:2])}: {told}; move with .to("{wanted}")'
    )


def may_move(op: Op, place: int, value: Tensor, free: bool) -> bool:
    """Whether PyTorch lets this CPU tensor stand beside tensors of another device."""
    if value.kind.device.type != "cpu":
        return False
    if value.array.ndim == 0 or op.takes_part(place):
        return value.array.ndim == 0
    return free or op.name in INDEXING
