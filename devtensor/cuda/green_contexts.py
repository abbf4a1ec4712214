"""Parts of a device as contexts of their own: refused by their name."""

from __future__ import annotations

from devtensor.core.refusal import refused, refused_class

__all__ = ["GreenContext"]

REASON = "a device is not parted; streams with priorities share it"

GreenContext = refused_class("cuda.GreenContext", REASON)
for _name in ("create", "max_workqueue_concurrency"):
    setattr(GreenContext, _name, staticmethod(refused(f"cuda.GreenContext.{_name}", REASON)))
