"""Kernels of our own sources on the current device and stream: compiled and loaded at their first launch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cupy

from devtensor_cupy.compile import SOURCES
from devtensor_cupy.compile.arguments import Packed
from devtensor_cupy.compile.cupy_runtime import CupyRuntime, Kernels
from devtensor_cupy.compile.registry import Source


class Launcher:
    """The sources of every device, each loaded once; of one that cannot be users are told once."""

    def __init__(self) -> None:
        self.runtimes: dict[int, CupyRuntime] = {}
        self.loaded: dict[tuple[int, str], Kernels | None] = {}
        self.known: dict[tuple[int, str], Kernels | None] = {}
        self.spare: dict[str, Packed] = {}
        self.told: set[str] = set()

    def kernels(self, entry: str) -> Kernels | None:
        """What the kernel's source was loaded as on the current device; None if it could not be."""
        key = cupy.cuda.runtime.getDevice(), entry
        if key not in self.known:
            self.known[key] = self.load(key[0], SOURCES.of(entry))
        return self.known[key]

    def load(self, device: int, source: Source) -> Kernels | None:
        """Load a source on the current device, if no other of its kernels has asked for that."""
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

    def launch(self, entry: str, work: int, values: Sequence[Any]) -> None:
        """Run a kernel of a loaded source on so much work.

        Arguments go where those of an earlier launch were, unless another thread is about to launch those.
        """
        kernels = self.kernels(entry)
        assert kernels is not None, f"[{entry}] is launched, though its source cannot be used"
        told = kernels.source.entries[entry]
        given = self.spare.pop(entry, None) or Packed(told)
        kernels.start(entry, told.launch.blocks(work), given.filled(values), cupy.cuda.get_current_stream())
        self.spare[entry] = given


@lru_cache(1024)
def entry_for(name: str, dtype: Any) -> str:
    """The kernel of a name over numbers of a dtype, whose own name NumPy spells out anew at each question."""
    return f"{name}_{dtype.name}"


launcher = Launcher()
"""Of this process: modules live on devices, whoever asks for their kernels."""
