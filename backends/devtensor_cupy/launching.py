"""Kernels of our own sources on the current device and stream: compiled and loaded at their first launch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import cupy

from devtensor_cupy.compile import SOURCES
from devtensor_cupy.compile.arguments import Packed, packed
from devtensor_cupy.compile.cupy_runtime import CupyRuntime, Kernels


class Launcher:
    """The sources of every device, each loaded once; of one that cannot be users are told once."""

    def __init__(self) -> None:
        self.runtimes: dict[int, CupyRuntime] = {}
        self.loaded: dict[tuple[int, str], Kernels | None] = {}
        self.told: set[str] = set()

    def kernels(self, entry: str) -> Kernels | None:
        """What the kernel's source was loaded as on the current device; None if it could not be."""
        device, source = cupy.cuda.runtime.getDevice(), SOURCES.of(entry)
        key = device, source.name
        if key not in self.loaded:
            try:
                if device not in self.runtimes:
                    self.runtimes[device] = CupyRuntime()
                self.loaded[key] = self.runtimes[device].load(source)
            except (RuntimeError, ImportError) as error:
                self.loaded[key] = None
                self.tell(source.name, error)
        return self.loaded[key]

    def tell(self, source: str, error: Exception) -> None:
        """Warn of a source, once for all devices."""
        if source not in self.told:
            self.told.add(source)
            warnings.warn(
                f"[{source}] the CUDA source cannot be used, so its work is done op by op: {error}",
                RuntimeWarning,
                stacklevel=2,
            )

    def launch(self, entry: str, work: int, values: Sequence[Any], arguments: Packed | None = None) -> Any:
        """Run a kernel of a loaded source on so much work; gives the arguments as they were packed."""
        kernels = self.loaded[cupy.cuda.runtime.getDevice(), SOURCES.of(entry).name]
        assert kernels is not None, f"[{entry}] is launched without having been asked for"
        told = kernels.source.entries[entry]
        given = packed(told, values) if arguments is None else arguments
        stream = cupy.cuda.get_current_stream()
        kernels.start(entry, told.launch.blocks(work), given, stream)
        return given


launcher = Launcher()
"""Of this process: modules live on devices, whoever asks for their kernels."""
