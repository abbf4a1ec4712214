"""PyTorch's private paths to the parts of a loader; scripts import from them."""

from __future__ import annotations

import sys

from devtensor._utils import ExceptionWrapper
from devtensor.utils.data._utils import collate, fetch, pin_memory, worker

__all__ = [
    "HAS_NUMPY",
    "IS_WINDOWS",
    "MP_STATUS_CHECK_INTERVAL",
    "ExceptionWrapper",
    "collate",
    "fetch",
    "pin_memory",
    "python_exit_status",
    "worker",
]

IS_WINDOWS = sys.platform == "win32"
HAS_NUMPY = True
# PyTorch's seconds between two looks at whether the other process lives; here its end is seen at once.
MP_STATUS_CHECK_INTERVAL = 5.0
python_exit_status = False
