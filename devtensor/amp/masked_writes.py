"""masked_writes: a layer under which in-place ops take effect only where a flag on the device allows it."""

from __future__ import annotations

from typing import Any

from devtensor.core.state import Layer
from devtensor.core.tensor import Tensor
from devtensor.ops.compare import where


class masked_writes(Layer):
    """Within it every write keeps the old values if `skip`, a 0-d bool tensor, is true, without reading it.

    So a skipped optimizer step leaves parameters, state and step counts equal bit for bit.
    """

    rank = 20

    def __init__(self, skip: Tensor) -> None:
        self.flags = {skip.device: skip}

    def write(self, dst: Any, src: Any, below: Any) -> None:
        """Write what `dst` shall hold: its own values where the step is skipped."""
        below(dst, where(self.flag_on(dst.device), dst.detach(), src))

    def flag_on(self, device: Any) -> Tensor:
        """The flag on a device; a capture asks for it too, so that a replay can leave skipped slots alone."""
        found = self.flags.get(device)
        if found is None:
            any_flag: Any = next(iter(self.flags.values()))
            found = self.flags[device] = any_flag.to(device)
        return found
