"""The boundary between devtensor and an array library: what a backend must offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

Array = Any
"""An array of the backend's own library; devtensor only passes it on."""

Kernel = Callable[..., Any]
"""`kernel(*arrays, *params)`, all positional, giving an array or a tuple of arrays."""

DTYPES = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "uint16",
    "uint32",
    "uint64",
    "complex64",
    "complex128",
    "float8_e4m3fn",
    "float8_e5m2",
)
"""Every dtype name that crosses the boundary; a backend may hold fewer."""


@dataclass(frozen=True)
class MemoryStats:
    """Memory of one device.

    Units: bytes. `total` is None where the library cannot tell.
    """

    allocated: int
    """In use by live arrays."""
    reserved: int
    """Held by the library's allocator, in use or not."""
    peak: int
    """Highest `allocated` so far, or `allocated` where the library does not record it."""
    total: int | None = None
    """Fitted to the device."""


@runtime_checkable
class Backend(Protocol):
    """The members through which devtensor reaches a device type.

    Contract of kernels: the array inputs share one dtype and one device, except index inputs (int64) and
    masks (bool); dtype parameters are names; dimensions are non-negative ints and tuples. Results are arrays
    of the library (0-d too), fresh unless the op is a view. Kernels change no input (`write` alone does),
    never warn on floating-point events, never wait for the device, and know nothing of Tensors.

    Optional members, found by `hasattr`:
    `available() -> str | None`: None if the device type can be used, else the reason why not.
    `specialise(name, kernel, dtype, all_scalar=True) -> kernel`: asked once when a plan is built; may give a
    kernel that is better for arrays of `dtype`, or None to leave it to a composite's body. `all_scalar=False`
    promises that some input has a dimension.
    `rerun(kernel, arguments) -> result`: the kernel again with floating-point events ignored; called when a
    kernel raised FloatingPointError or RuntimeWarning because the user made the library raise on such events.
    `out_kernels: frozenset[str]`: kernels that accept `out=array` as keyword.
    `exact_views: frozenset[str]`: views of arrays in rows whose kernels give each size of 1 the stride that
    the op's rule says; of other views the strides are compared with the rule.
    `wide_numbers: Mapping[str, tuple[int, ...]]`: ops by name, and the places of inputs where their kernels
    for half types take a number as a 0-d array of float32; elsewhere it comes rounded to the half type.
    `wide_bodies: frozenset[str]`: composites of one result whose bodies, where they have no kernel, run on
    float32 in place of a half type, so that their results are rounded once.
    `orders_dims: bool`: an elementwise result of one array has its dims in PyTorch's order, whatever the
    array's strides (default False: dispatch looks).
    `host_reads_are_free: bool`: reading an array's numbers waits for nothing (default False).
    `is_contiguous(array) -> bool`: whether it lies row by row without gaps; else its strides are asked.
    `as_list(array) -> nested lists, or one number`: its elements as Python numbers, after waiting for it;
    without it they are read from what `download` gives.
    `array_type`, `as_array`: the class of arrays, and what makes one of a scalar that a kernel chosen with
    all_scalar=False gave.
    `amp_policy: str`: the autocast table to follow, "cpu" or "cuda" (default "cuda").
    `list_kernels: Mapping[str, Kernel]`: kernels over lists of arrays, by the name of the op over lists
    (`core.lists`): `kernel(*lists, *numbers, *params)`; NotImplemented, nothing done, leaves it to the body.
    `properties(index) -> dict`: a device's `name`, `major` and `minor` of its generation, and the like.
    `free_memory(index) -> int`, `release_memory(index)`, `reset_peak(index)`: bytes nobody uses; give unused
    memory back to the device; begin the record of the most bytes in use anew.
    `memory_details(index) -> dict`, `reset_totals(index)`, `limit_memory(index, fraction)`: what else is
    counted of the memory, by PyTorch's names; count from none again; hold no more than a part of it, as
    `memory_fraction(index)` then tells.
    `memory_blocks() -> list`, `lend(index, size, stream) -> address`, `take_back(address)`: the blocks in use
    as PyTorch's snapshots have them; memory that is held by its address.
    `host_memory_details() -> dict`, `reset_host_peak()`, `reset_host_totals()`, `release_host_memory()`: the
    same of page-locked memory of the host.
    `waits`: hears before the host waits for the device, and says so as its `mode` asks.
    `marks`, `profiler`, `blas_handle(index)`, `solver_handle(index)`: NVTX's functions, the profiler's, and
    handles of libraries.
    `queues`: streams and events of a device that runs beside the host, as `accelerator.queues.OneQueue` has
    them; `record_stream(array, stream)`: keep memory, once nobody holds it, until a stream has read it.
    `copy_between(array, index) -> array`: a copy on another device, ordered with the work of both.
    `pin(host) -> host array`, `is_pinned(host) -> bool`, `download_later(array) -> host array`: page-locked
    memory of the host, and copies that nobody waits for; `upload` then takes `non_blocking` as well, and
    `download_into(array, host)` copies into such memory.
    `describe() -> dict[str, str]`: versions and settings for `python -m devtensor`.
    """

    name: str
    """The device type it serves, such as "cuda"."""

    kernels: Mapping[str, Kernel]
    """Op name -> kernel."""

    dtypes: frozenset[str]
    """Names of the dtypes that its arrays can hold."""

    def device_count(self) -> int:
        """Number of devices of this type."""
        ...

    def on(self, index: int) -> AbstractContextManager[Any]:
        """Context in which device `index` is the current one, for creation and for kernels."""
        ...

    def upload(self, host: memoryview, shape: tuple[int, ...], dtype: str, index: int) -> Array:
        """Fresh array on device `index` from raw bytes (format 'B', C order, little endian)."""
        ...

    def download(self, array: Array) -> memoryview:
        """Bytes of the array ('B', C order, little endian), after waiting for it; may alias the array."""
        ...

    def adopt(self, array: Array) -> Array:
        """Take in a native array, or one that speaks DLPack, uncopied; TypeError says what it cannot."""
        ...

    def dtype_of(self, array: Array) -> str:
        """Name of the array's dtype."""
        ...

    def strides_of(self, array: Array) -> tuple[int, ...]:
        """Strides in elements, not bytes."""
        ...

    def synchronize(self, index: int) -> None:
        """Wait until device `index` has done all that was asked of it."""
        ...

    def memory(self, index: int) -> MemoryStats:
        """Memory of device `index` now."""
        ...
