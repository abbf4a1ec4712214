"""The torch.xpu-shaped face of the device type "xpu", which a plug-in may serve."""

from __future__ import annotations

from devtensor.accelerator.face import module_members

globals().update(module_members("xpu"))
