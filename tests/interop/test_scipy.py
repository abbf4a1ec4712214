"""SciPy takes tensors by the array API, and gives them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# SciPy reads the switch when it is imported, so it needs a process of its own.
PROGRAM = """
import numpy as np
import scipy.cluster.vq, scipy.fft, scipy.integrate, scipy.signal, scipy.special, scipy.stats
import devtensor

numbers = np.random.default_rng(0).standard_normal((20, 3))
for name, function in {
    "zscore": scipy.stats.zscore,
    "kurtosis": scipy.stats.kurtosis,
    "ttest": lambda x: scipy.stats.ttest_1samp(x, 0.1).pvalue,
    "pearsonr": lambda x: scipy.stats.pearsonr(x[:, 0], x[:, 1]).statistic,
    "logsumexp": lambda x: scipy.special.logsumexp(x, axis=1),
    "entr": lambda x: scipy.special.entr(abs(x)),
    "fft": lambda x: abs(scipy.fft.fft(x, axis=0)),
    "whiten": scipy.cluster.vq.whiten,
    "trapezoid": lambda x: scipy.integrate.trapezoid(x, axis=0),
    "detrend": lambda x: scipy.signal.detrend(x, axis=0),
}.items():
    found = function(devtensor.asarray(numbers))
    assert isinstance(found, devtensor.Tensor), name
    np.testing.assert_allclose(found.numpy(), function(numbers), rtol=1e-9, atol=1e-12, err_msg=name)
"""


def test_scipy():
    environment = os.environ | {
        "SCIPY_ARRAY_API": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "backends")]),
    }
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
