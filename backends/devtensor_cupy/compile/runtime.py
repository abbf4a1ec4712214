"""What the compiled path asks of a device: memory, copies, streams, events, kernels. Nothing else.

Work given to a stream runs later, in the stream's order; streams know of each other by events alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from devtensor_cupy.compile.registry import Source


class Runtime(Protocol):
    """A device. Addresses are numbers; streams and events are what the device likes."""

    def allocate(self, size: int) -> int:
        """Bytes of device memory, with anything in them."""
        ...

    def free(self, address: int) -> None:
        """Give memory back; work that uses it must have ended."""
        ...

    def pinned(self, size: int) -> memoryview:
        """Bytes of host memory that copies read and write while the host goes on."""
        ...

    def free_pinned(self, host: memoryview) -> None:
        """Give pinned memory back; copies that use it must have ended."""
        ...

    def stream(self) -> Any:
        """A new stream."""
        ...

    def event(self) -> Any:
        """A new event, which has passed."""
        ...

    def record(self, event: Any, stream: Any) -> None:
        """Let the event pass when the stream has done what it was given so far."""
        ...

    def wait(self, stream: Any, event: Any) -> None:
        """Keep what the stream is given from now on until the event, as recorded last, has passed."""
        ...

    def passed(self, event: Any) -> bool:
        """Whether the event has passed; does not wait."""
        ...

    def synchronize(self, stream: Any) -> None:
        """Return when the stream has done everything."""
        ...

    def upload(self, address: int, host: memoryview, stream: Any) -> None:
        """Copy to the device; pinned memory must stay as it is until then, other memory is waited for."""
        ...

    def download(self, host: memoryview, address: int, stream: Any) -> None:
        """Copy from the device; what is not pinned is waited for."""
        ...

    def copy(self, to: int, source: int, size: int, stream: Any) -> None:
        """Copy within the device."""
        ...

    def fill(self, address: int, byte: int, size: int, stream: Any) -> None:
        """Set bytes of the device."""
        ...

    def load(self, source: Source) -> Any:
        """The source's kernels, ready to be launched."""
        ...

    def launch(self, kernels: Any, entry: str, blocks: int, values: Sequence[Any], stream: Any) -> None:
        """Run a kernel of `load`; addresses, None for a null pointer, and numbers as its Entry lists them."""
        ...
