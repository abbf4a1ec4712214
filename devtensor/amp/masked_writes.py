"""masked_writes: a layer under which in-place ops take effect only where a flag on the device allows it."""

from __future__ import annotations

from typing import Any

from devtensor.core.dtype import bool_, float32
from devtensor.core.state import Layer
from devtensor.core.tensor import Tensor
from devtensor.ops.compare import ne, where
from devtensor.ops.create import cast


class masked_writes(Layer):
    """Within it every write keeps the old values if `skip`, a 0-d tensor, is not 0, without reading it.

    So a skipped optimizer step leaves parameters, state and step counts equal bit for bit. Kernels over lists
    of tensors take the flag as a number instead.
    """

    rank = 20

    def __init__(self, skip: Tensor) -> None:
        self.skip = skip
        self.flags: dict[Any, Any] = {}

    def write(self, dst: Any, src: Any, below: Any) -> None:
        """Write what `dst` shall hold: its own values where the step is skipped."""
        below(dst, where(self.flag_on(dst.device), dst.detach(), src))

    def flag_on(self, device: Any) -> Tensor:
        """Whether to skip, a bool on a device; a capture asks too, so that a replay can leave skipped slots
        alone."""
        return self._in(bool_, device)

    def skip_on(self, device: Any) -> Tensor:
        """The flag as a float32 on a device."""
        return self._in(float32, device)

    def _in(self, dtype: Any, device: Any) -> Any:
        """The flag in a dtype on a device, made when it is asked for first."""
        key = dtype, device
        if key not in self.flags:
            flag: Any = self.skip.to(device)  # type: ignore[attr-defined]
            if flag.dtype is not dtype:
                flag = ne(flag, 0) if dtype is bool_ else cast(flag, dtype)
            self.flags[key] = flag
        return self.flags[key]
