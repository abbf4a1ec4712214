"""Settings for a compiler, kept and given back."""

from __future__ import annotations

from devtensor.compiler.settings import permit

permit(__name__)
