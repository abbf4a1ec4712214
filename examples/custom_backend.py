"""A stranger's backend in sixty lines: the device type "mydev", for a library that is like NumPy.

A distribution offers it in pyproject.toml: [project.entry-points."devtensor.backends"] mydev =
"custom_backend:MyBackend". To check it: python -m devtensor.testing.conformance mydev
"""

from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import numpy as np

from devtensor.backend import arraylib
from devtensor.backend.protocol import DTYPES, MemoryStats


class MyArray(np.ndarray):
    """The library's own arrays."""


def ours(value):
    if isinstance(value, tuple):
        return tuple(map(ours, value))
    return np.asarray(value).view(MyArray) if isinstance(value, np.ndarray | np.generic) else value


class MyLibrary:
    """The library's functions: NumPy's, quiet about 1/0, with results of its own type."""

    strided = partial(np.lib.stride_tricks.as_strided, subok=True)
    lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=strided))
    linalg = fft = property(lambda self: self)

    def __getattr__(self, name):
        function = getattr(np, name, None) or getattr(np.linalg, name, None) or getattr(np.fft, name)
        quiet = np.errstate(all="ignore")(function)
        return function if isinstance(function, type) else lambda *args, **named: ours(quiet(*args, **named))


def softmax(x, dim):
    """An override: what the library does better than devtensor's own composition."""
    powers = np.exp(x.copy() - x.max(axis=dim, keepdims=True, initial=-np.inf)) if x.ndim else x * 0 + 1
    return ours(powers / powers.sum(axis=dim if x.ndim else None, keepdims=True))


class MyBackend:
    name, dtypes, xp = "mydev", frozenset(DTYPES), MyLibrary()
    kernels = arraylib.kernels(xp, add_at=np.add.at) | {"softmax": softmax}
    device_count, on = staticmethod(lambda: 1), staticmethod(nullcontext)
    synchronize, memory = staticmethod(lambda index: None), staticmethod(lambda index: MemoryStats(0, 0, 0))
    adopt = staticmethod(ours)
    dtype_of = staticmethod(lambda array: array.dtype.name)
    strides_of = staticmethod(lambda array: tuple(stride // array.itemsize for stride in array.strides))
    download = staticmethod(lambda array: memoryview(array.tobytes()))

    def upload(self, host, shape, dtype, index):
        return ours(np.frombuffer(bytes(host), arraylib.find_dtypes(np)[dtype]).reshape(shape).copy())

    def specialise(self, name, kernel, dtype, all_scalar=True):
        return arraylib.half_kernel(self.xp, name, kernel, dtype)
