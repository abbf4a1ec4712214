"""Extensions in C++ and CUDA: refused, for there is no C++ library to compile them against."""

from __future__ import annotations

from typing import Any

from devtensor.core.refusal import refuse, refused

__all__ = [
    "CUDA_HOME",
    "BuildExtension",
    "CUDAExtension",
    "CppExtension",
    "include_paths",
    "is_ninja_available",
    "library_paths",
    "load",
    "load_inline",
]

REASON = (
    "extensions are compiled against PyTorch's C++ library, which devtensor is not; write a kernel for a "
    "backend instead (docs/adding-a-backend.md)"
)

CUDA_HOME = ROCM_HOME = HIP_HOME = None
IS_WINDOWS = False

load = refused("utils.cpp_extension.load", REASON)
load_inline = refused("utils.cpp_extension.load_inline", REASON)
CppExtension = refused("utils.cpp_extension.CppExtension", REASON)
CUDAExtension = refused("utils.cpp_extension.CUDAExtension", REASON)
include_paths = refused("utils.cpp_extension.include_paths", REASON)
library_paths = refused("utils.cpp_extension.library_paths", REASON)


class BuildExtension:
    """A command for setuptools: refused when it is asked to build."""

    @classmethod
    def with_options(cls, **options: Any) -> type[BuildExtension]:
        """The class itself."""
        return cls

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse("utils.cpp_extension.BuildExtension", REASON)


def is_ninja_available() -> bool:
    """Whether extensions can be built by ninja: no."""
    return False
