"""The Runtime of an NVIDIA device, by what CuPy has of the driver."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np
from cupy_backends.cuda.api import driver  # pyright: ignore[reportAttributeAccessIssue]

from devtensor_cupy.compile import cupy_compiler
from devtensor_cupy.compile.arguments import Packed, packed
from devtensor_cupy.compile.cubins import cubin
from devtensor_cupy.compile.nvrtc import architecture_for
from devtensor_cupy.compile.registry import Source

TO_DEVICE, TO_HOST, WITHIN = 1, 2, 3
"""cudaMemcpyKind."""


class Bound(threading.local):
    """The devices whose contexts this thread has."""

    def __init__(self) -> None:
        self.devices: set[int] = set()

    def bind(self, device: int) -> None:
        """Give the thread the context of the device, which is the current one.

        CUDA's own functions do so by themselves. The driver's launch does not, and fails in a fresh thread.
        """
        cupy.cuda.runtime.memGetInfo()
        self.devices.add(device)


bound = Bound()


class Kernels:
    """A loaded cubin and its kernels."""

    def __init__(self, source: Source, content: bytes) -> None:
        self.source = source
        self.device = cupy.cuda.runtime.getDevice()
        self.module = cupy.cuda.Module()
        self.module.load(content)
        self.functions = {name: self.module.get_function(name) for name in source.entries}

    def start(self, entry: str, blocks: int, arguments: Packed, stream: Any) -> None:
        """Run a kernel on a stream of the device that this was loaded on."""
        if self.device not in bound.devices:
            bound.bind(self.device)
        function, threads = self.functions[entry], self.source.entries[entry].launch.threads
        driver.launchKernel(function.ptr, blocks, 1, 1, threads, 1, 1, 0, stream.ptr, arguments.address, 0)


class CupyRuntime:
    """One device: the current one when this is made, and at every call."""

    def __init__(self, options: tuple[str, ...] = ()) -> None:
        self.runtime = cupy.cuda.runtime
        self.arch = architecture_for(int(cupy.cuda.Device().compute_capability), cupy_compiler)
        self.options = options
        self.blocks: dict[int, Any] = {}
        self.hosts: dict[int, Any] = {}

    def allocate(self, size: int) -> int:
        pointer = cupy.cuda.alloc(size)
        self.blocks[pointer.ptr] = pointer
        return pointer.ptr

    def free(self, address: int) -> None:
        del self.blocks[address]

    def pinned(self, size: int) -> memoryview:
        pointer = cupy.cuda.alloc_pinned_memory(size)
        self.hosts[pointer.ptr] = pointer
        return np.frombuffer(pointer, np.uint8, size).data

    def free_pinned(self, host: memoryview) -> None:
        del self.hosts[address_of(host)]

    def stream(self) -> Any:
        return cupy.cuda.Stream(non_blocking=True)

    def event(self) -> Any:
        return cupy.cuda.Event(disable_timing=True)

    def record(self, event: Any, stream: Any) -> None:
        event.record(stream)

    def wait(self, stream: Any, event: Any) -> None:
        stream.wait_event(event)

    def passed(self, event: Any) -> bool:
        return bool(event.done)

    def synchronize(self, stream: Any) -> None:
        stream.synchronize()

    def upload(self, address: int, host: memoryview, stream: Any) -> None:
        place = address_of(host)
        self.runtime.memcpyAsync(address, place, host.nbytes, TO_DEVICE, stream.ptr)
        if place not in self.hosts:
            stream.synchronize()

    def download(self, host: memoryview, address: int, stream: Any) -> None:
        place = address_of(host)
        self.runtime.memcpyAsync(place, address, host.nbytes, TO_HOST, stream.ptr)
        if place not in self.hosts:
            stream.synchronize()

    def copy(self, to: int, source: int, size: int, stream: Any) -> None:
        self.runtime.memcpyAsync(to, source, size, WITHIN, stream.ptr)

    def fill(self, address: int, byte: int, size: int, stream: Any) -> None:
        self.runtime.memsetAsync(address, byte, size, stream.ptr)

    def load(self, source: Source) -> Kernels:
        made = cubin(source, self.arch, self.options, cupy_compiler.compile_cubin, cupy_compiler.version)
        return Kernels(source, made)

    def launch(self, kernels: Kernels, entry: str, blocks: int, values: Sequence[Any], stream: Any) -> None:
        kernels.start(entry, blocks, packed(kernels.source.entries[entry], values), stream)


def address_of(host: memoryview) -> int:
    """Where host memory lies."""
    return np.frombuffer(host, np.uint8).ctypes.data if host.nbytes else 0
