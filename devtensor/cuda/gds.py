"""Files read and written by the device itself: refused by their names."""

from __future__ import annotations

from devtensor.core.refusal import refused, refused_class

__all__ = ["GdsFile", "gds_deregister_buffer", "gds_register_buffer"]

REASON = "files are read by the host; see Tensor.pin_memory for fast copies"

GdsFile = refused_class("cuda.gds.GdsFile", REASON)
gds_deregister_buffer = refused("cuda.gds.gds_deregister_buffer", REASON)
gds_register_buffer = refused("cuda.gds.gds_register_buffer", REASON)
