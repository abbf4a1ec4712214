"""The older name of `devtensor.hub`'s function for weights from a URL."""

from __future__ import annotations

from devtensor.hub import load_state_dict_from_url as load_url

__all__ = ["load_url"]
