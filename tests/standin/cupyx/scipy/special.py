"""CuPy's special functions, SciPy inside."""

from __future__ import annotations

import scipy.special as _scipy
from cupy._loops import LOOPS, ufunc

for _name in LOOPS["special"]:
    globals()[_name] = ufunc(_name, "special", getattr(_scipy, _name))
