"""The torch.mtia-shaped face of the device type "mtia", which a plug-in may serve."""

from __future__ import annotations

from devtensor.accelerator.face import module_members

globals().update(module_members("mtia"))
