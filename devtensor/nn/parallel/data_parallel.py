"""DataParallel: parts of a batch on several devices, each by a copy of the model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from devtensor.accelerator.face import Face
from devtensor.core.device import Device
from devtensor.core.errors import DeviceError
from devtensor.core.state import is_grad_enabled
from devtensor.nn.modules.module import Module
from devtensor.nn.parallel.parallel_apply import parallel_apply
from devtensor.nn.parallel.replicate import replicate
from devtensor.nn.parallel.scatter_gather import gather, scatter_kwargs

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """Splits what it is given along `dim`, runs a copy of `module` on each device, and joins the results.

    The model must lie on the first of `device_ids`, by default all CUDA devices; inputs may be anywhere.
    Gradients are summed into the model's own parameters, and what its buffers became on the first device
    stays. Where there is no CUDA device the model runs as it is. As in PyTorch the given model is `module`,
    so names in `state_dict()` begin with "module.".

    Errors: DeviceError for a device that does not exist, and for a model that lies elsewhere.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        self.module = module
        self.dim = dim
        self.device_ids = numbers_of(device_ids)
        if not self.device_ids:
            return
        self.output_device = (
            self.device_ids[0] if output_device is None else numbers_of([output_device], True)[0]
        )
        self.src_device_obj = Device("cuda", self.device_ids[0])
        if len(self.device_ids) == 1:
            self.module.to(self.src_device_obj)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Run the model."""
        if not self.device_ids:
            return self.module(*inputs, **kwargs)
        require_on(self.module, self.src_device_obj)
        placed, named = self.scatter(inputs, kwargs, self.device_ids)
        if not placed:
            placed, named = ((),), ({},)
        if len(self.device_ids) == 1:
            return self.module(*placed[0], **named[0])
        replicas = self.replicate(self.module, self.device_ids[: len(placed)])
        return self.gather(self.parallel_apply(replicas, placed, named), self.output_device)

    def replicate(self, module: Module, device_ids: Sequence[Any]) -> list[Module]:
        """A copy of the model on each device, for this call alone."""
        return replicate(module, device_ids, not is_grad_enabled())

    def scatter(self, inputs: tuple, kwargs: dict[str, Any], device_ids: Sequence[Any]) -> tuple:
        """What each device's copy is given."""
        return scatter_kwargs(inputs, kwargs, device_ids, self.dim)

    def parallel_apply(self, replicas: Sequence[Module], inputs: Sequence, kwargs: Any) -> list[Any]:
        """What the copies give."""
        return parallel_apply(replicas, inputs, kwargs, self.device_ids[: len(replicas)])

    def gather(self, outputs: Sequence[Any], output_device: Any) -> Any:
        """The results as one."""
        return gather(outputs, output_device, self.dim)


def numbers_of(device_ids: Sequence[Any] | None, cpu: bool = False) -> list[int]:
    """The numbers of CUDA devices, all of them for None; none where there are no devices. With `cpu` it may
    be named, and is -1."""
    face = Face("cuda")
    if device_ids is None or not face.is_available():
        return list(range(face.device_count()))
    return [-1 if cpu and str(each) in ("-1", "cpu") else face.index(each) for each in device_ids]


def require_on(module: Module, device: Device) -> None:
    """Refuse a model that does not lie on the first device.

    Errors: DeviceError that names where it lies.
    """
    for tensor in chain(module.parameters(), module.buffers()):
        if tensor.device != device:
            raise DeviceError(
                f"[DataParallel] module must have its parameters and buffers on device {device} "
                f"(device_ids[0]) but found one of them on device: {tensor.device}"
            )


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[Any] | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """Run `module` once as DataParallel does, on a tuple of inputs, or on one.

    Errors: DeviceError for a model that does not lie on the first device.
    """
    places = numbers_of(device_ids)
    if places:
        require_on(module, Device("cuda", places[0]))
    given = inputs if isinstance(inputs, tuple) else () if inputs is None else (inputs,)
    return DataParallel(module, device_ids, output_device, dim)(*given, **(module_kwargs or {}))
