"""What PyTorch shows of CUDA's own functions, and their errors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from devtensor.accelerator.face import Face
from devtensor.core.errors import DeviceError
from devtensor.cuda import profiler

SUCCESS = 0


class cudaStatus:
    """Numbers that CUDA's functions return."""

    SUCCESS: int = 0
    ERROR_NOT_READY: int = 34


class CudaError(DeviceError):
    """What a function of CUDA's returned, if it was not success."""

    def __init__(self, code: int) -> None:
        super().__init__(f"[cuda] a function of CUDA's returned the error {code}")
        self.code = code


class DeferredCudaCallError(Exception):
    """A call that waited for CUDA to be used has failed; none waits here."""


def check_error(res: int) -> None:
    """Raise CudaError if a function of CUDA's returned anything but success."""
    if res != SUCCESS:
        raise CudaError(res)


def called(name: str) -> Any:
    """A function of the profiler's that returns a status, as CUDA's do."""

    def call() -> int:
        getattr(profiler, name)()
        return SUCCESS

    return call


def cudart() -> SimpleNamespace:
    """The functions of CUDA's runtime that scripts use of PyTorch's: memory, and the profiler's.

    Errors: DeviceMissing if there is no device.
    """
    face = Face("cuda")
    face.require()
    return SimpleNamespace(
        cudaError=SimpleNamespace(success=SUCCESS),
        cudaGetErrorString=lambda code: "no error" if code == SUCCESS else f"error {code}",
        cudaMemGetInfo=face.mem_get_info,
        cudaProfilerStart=called("start"),
        cudaProfilerStop=called("stop"),
    )
