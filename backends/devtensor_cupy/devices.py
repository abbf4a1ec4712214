"""The Backend object of CUDA devices."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from devtensor.backend.arraylib.library import EXTENSIONS, dtype_name
from devtensor.backend.protocol import DTYPES, Kernel
from devtensor_cupy.device_facts import DeviceFacts
from devtensor_cupy.device_memory import DeviceMemory
from devtensor_cupy.memory import Accounts
from devtensor_cupy.process import FORKED, Forks, Waits
from devtensor_cupy.queues import Queues

if TYPE_CHECKING:
    from devtensor_cupy.lists import ListKernels
    from devtensor_cupy.pinned import Pinned

FIRST_CUPY, FIRST_NUMPY = "14.0.0", "2.1.2"
"""The first versions that have bfloat16, or do not crash with it."""
WAITING = frozenset({"nonzero", "unique"})
"""Kernels that ask the device how large their result is."""


class CupyBackend(DeviceMemory, DeviceFacts):
    """CuPy on NVIDIA devices; nothing is imported, nor a device touched, before the first question."""

    name = "cuda"
    amp_policy = "cuda"

    def __init__(self) -> None:
        self.forks = Forks()
        self.waits = Waits()

    @cached_property
    def cupy(self) -> Any:
        import cupy

        return cupy

    @cached_property
    def accounts(self) -> Accounts:
        """What is allocated; every allocation passes them from the first device question on."""
        accounts = Accounts(self.cupy)
        self.cupy.cuda.set_allocator(accounts.allocate)
        return accounts

    @cached_property
    def queues(self) -> Queues:
        """Streams and events."""
        return Queues(self.cupy, self.waits)

    @cached_property
    def pinned(self) -> Pinned:
        """Page-locked host memory, and copies that nobody waits for."""
        from devtensor_cupy.kernels import CUPY_DTYPES
        from devtensor_cupy.pinned import Pinned

        return Pinned(self.cupy, CUPY_DTYPES)

    @cached_property
    def dtypes(self) -> frozenset[str]:
        import numpy as np

        known = np.lib.NumpyVersion
        enough = known(self.cupy.__version__) >= FIRST_CUPY and known(np.__version__) >= FIRST_NUMPY
        return frozenset(DTYPES) - (EXTENSIONS - {"bfloat16"} if enough else EXTENSIONS)

    @cached_property
    def kernels(self) -> dict[str, Kernel]:
        from devtensor_cupy.kernels import kernel_table

        self.accounts  # noqa: B018 - from the first kernel on, allocations are counted
        return kernel_table()

    @cached_property
    def lists(self) -> ListKernels:
        """Kernels over lists of tensors."""
        from devtensor_cupy.lists import ListKernels

        return ListKernels(self.pinned)

    @cached_property
    def list_kernels(self) -> dict[str, Kernel]:
        from devtensor_cupy.kernels import watched_lists

        return watched_lists(self.lists.table())

    @cached_property
    def out_kernels(self) -> frozenset[str]:
        from devtensor_cupy.kernels import OUT_KERNELS

        return OUT_KERNELS

    @property
    def wide_numbers(self) -> dict[str, tuple[int, ...]]:
        from devtensor_cupy.kernels import WIDE_NUMBERS

        return WIDE_NUMBERS

    def specialise(self, name: str, kernel: Kernel, dtype: str, all_scalar: bool = True) -> Kernel | None:
        """Half types are computed in float32 where CuPy cannot compute in them."""
        from devtensor_cupy.kernels import specialise

        found = specialise(name, kernel, dtype)
        return self.waits.told_of(name, found) if found is not None and name in WAITING else found

    def available(self) -> str | None:
        """None if there is a device to use, else what is missing and what to do."""
        if self.forks.forked:
            return FORKED
        try:
            runtime = self.cupy.cuda.runtime
        except ImportError as error:
            if getattr(error, "name", None) == "cupy":
                return "CuPy is not installed; run: pip install devtensor[cuda12] or devtensor[cuda13]"
            return f"CuPy cannot be imported: {error}"
        try:
            count = runtime.getDeviceCount()
        except runtime.CUDARuntimeError as error:
            return f"CuPy {self.cupy.__version__} finds no usable NVIDIA driver: {error}"
        self.forks.begin(self.inherited)
        return None if count else f"CuPy {self.cupy.__version__} finds no NVIDIA device"

    def inherited(self) -> list[Any]:
        """What a child of a fork must not free."""
        streams = list(self.queues.made) if "queues" in self.__dict__ else []
        flying = self.pinned.in_flight if "pinned" in self.__dict__ else []
        waiting = self.accounts.abandon() if "accounts" in self.__dict__ else []
        tables = self.lists.tables.kept.values() if "lists" in self.__dict__ else []
        return [*streams, *flying, *waiting, *tables, *self.modules()]

    def modules(self) -> list[Any]:
        """The sources of ours that devices hold."""
        if "kernels" not in self.__dict__ and "lists" not in self.__dict__:
            return []
        from devtensor_cupy.launching import launcher

        return list(launcher.loaded.values())

    def device_count(self) -> int:
        return 0 if self.available() else self.cupy.cuda.runtime.getDeviceCount()

    def on(self, index: int) -> AbstractContextManager[Any]:
        return self.cupy.cuda.Device(index)

    def upload(
        self, host: memoryview, shape: tuple[int, ...], dtype: str, index: int, non_blocking: bool = False
    ) -> Any:
        """The array from bytes; with `non_blocking` the copy from pinned memory is only begun."""
        import numpy as np

        from devtensor_cupy.kernels import CUPY_DTYPES

        self.accounts  # noqa: B018 - from the first array on, allocations are counted
        with self.on(index):
            array = self.cupy.empty(shape, CUPY_DTYPES[dtype])
            if array.size:
                if not non_blocking:
                    self.waits.hear("copy to the device")
                source = np.frombuffer(host, np.uint8).view(array.dtype).reshape(shape)
                if non_blocking and self.pinned.holds(source):
                    self.pinned.upload(source, array)
                else:
                    array.set(source)
                if not non_blocking:
                    self.wait_for_copy()
        return array

    def wait_for_copy(self) -> None:
        """CuPy only begins copies to the device: pinned memory, and any that the device reads by itself, may
        be read when the caller has changed it."""
        self.cupy.cuda.get_current_stream().synchronize()

    def download(self, array: Any) -> memoryview:
        import numpy as np

        self.waits.hear("copy to the host")
        with array.device:
            held = self.cupy.ascontiguousarray(array).get()
        return held.reshape(-1).view(np.uint8).data

    def download_later(self, array: Any) -> Any:
        """A host array in pinned memory, whose numbers are there when the current stream has come so far."""
        with array.device:
            return self.pinned.download(array)

    def download_into(self, array: Any, host: Any) -> None:
        """Begin a copy into a host array in pinned memory, of the same shape and dtype, that lies in rows."""
        with array.device:
            self.pinned.download(array, host)

    def pin(self, host: Any) -> Any:
        """A copy of a host array in pinned memory, its dims in memory in the same order."""
        order = sorted(range(host.ndim), key=lambda dim: -abs(host.strides[dim]))
        shape = tuple(host.shape[dim] for dim in order)
        back = [order.index(dim) for dim in range(host.ndim)]
        result = self.pinned.empty(shape, host.dtype.name).transpose(back)
        result[...] = host
        return result

    def is_pinned(self, host: Any) -> bool:
        """Whether a host array lies in pinned memory."""
        return self.pinned.holds(host)

    def copy_between(self, array: Any, index: int) -> Any:
        """A copy on another device: it begins when the source is ready, which then waits to be read."""
        cuda = self.cupy.cuda
        home = array.device.id
        with cuda.Device(home):
            # CuPy would bring it into rows by itself, behind the event, and copy what is not there yet.
            source = array if array.flags.c_contiguous else self.cupy.ascontiguousarray(array)
            ready = cuda.Event(disable_timing=True)
            ready.record(cuda.get_current_stream())
        with cuda.Device(index):
            read = cuda.Event(disable_timing=True)
            cuda.get_current_stream().wait_event(ready)
            result = source.copy()
            read.record(cuda.get_current_stream())
        with cuda.Device(home):
            cuda.get_current_stream().wait_event(read)
        return result

    def record_stream(self, array: Any, stream: Any) -> None:
        """Keep the array's memory until a stream that reads it has done so."""
        self.accounts.record_stream(array, stream)

    def adopt(self, array: Any) -> Any:
        """Take in a CuPy array, or another library's by DLPack.

        Errors: TypeError for other arrays, and for dtypes that devtensor does not have.
        """
        if not isinstance(array, self.cupy.ndarray) and hasattr(array, "__dlpack__"):
            array = self.cupy.from_dlpack(array)
        if not isinstance(array, self.cupy.ndarray):
            raise TypeError(f"[adopt] {type(array).__name__} is no CuPy array; use cupy.asarray")
        if array.dtype.name not in self.dtypes:
            raise TypeError(f"[adopt] dtype {array.dtype} is not supported; use one of {', '.join(DTYPES)}")
        return array

    def dtype_of(self, array: Any) -> str:
        return dtype_name(array)

    def strides_of(self, array: Any) -> tuple[int, ...]:
        itemsize = array.dtype.itemsize
        return tuple(stride // itemsize for stride in array.strides)

    def is_contiguous(self, array: Any) -> bool:
        return array.flags.c_contiguous

    def synchronize(self, index: int) -> None:
        self.cupy.cuda.Device(index).synchronize()
