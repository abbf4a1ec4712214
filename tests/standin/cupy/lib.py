"""Views by strides."""

from __future__ import annotations

from types import SimpleNamespace

from cupy._functions import as_strided

stride_tricks = SimpleNamespace(as_strided=as_strided)
