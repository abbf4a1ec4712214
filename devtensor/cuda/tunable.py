"""PyTorch's search for the fastest matrix product: it is off, and cuBLAS chooses by its own heuristics."""

from __future__ import annotations

from devtensor.core.refusal import refuse, refused

__all__ = [
    "enable",
    "get_filename",
    "get_max_tuning_duration",
    "get_max_tuning_iterations",
    "get_results",
    "get_rotating_buffer_size",
    "get_validators",
    "is_enabled",
    "mgpu_tune_gemm_in_file",
    "read_file",
    "record_untuned_enable",
    "record_untuned_is_enabled",
    "set_filename",
    "set_max_tuning_duration",
    "set_max_tuning_iterations",
    "set_numerical_check_tolerances",
    "set_rotating_buffer_size",
    "tune_gemm_in_file",
    "tuning_enable",
    "tuning_is_enabled",
]

REASON = "products are not tuned; cuBLAS chooses its algorithms itself"


def enable(val: bool = True) -> None:
    """Refused, but for what is so already: `enable(False)`."""
    if val:
        refuse("cuda.tunable.enable", REASON)


def tuning_enable(val: bool = True) -> None:
    """Refused, but for what is so already: `tuning_enable(False)`."""
    if val:
        refuse("cuda.tunable.tuning_enable", REASON)


def record_untuned_enable(val: bool = True) -> None:
    """Refused, but for what is so already: `record_untuned_enable(False)`."""
    if val:
        refuse("cuda.tunable.record_untuned_enable", REASON)


def is_enabled() -> bool:
    """Whether tuned products are used: never."""
    return False


def tuning_is_enabled() -> bool:
    """Whether products are tuned when they are first seen: never."""
    return False


def record_untuned_is_enabled() -> bool:
    """Whether products are written down to be tuned later: never."""
    return False


get_filename = refused("cuda.tunable.get_filename", REASON)
get_max_tuning_duration = refused("cuda.tunable.get_max_tuning_duration", REASON)
get_max_tuning_iterations = refused("cuda.tunable.get_max_tuning_iterations", REASON)
get_results = refused("cuda.tunable.get_results", REASON)
get_rotating_buffer_size = refused("cuda.tunable.get_rotating_buffer_size", REASON)
get_validators = refused("cuda.tunable.get_validators", REASON)
mgpu_tune_gemm_in_file = refused("cuda.tunable.mgpu_tune_gemm_in_file", REASON)
read_file = refused("cuda.tunable.read_file", REASON)
set_filename = refused("cuda.tunable.set_filename", REASON)
set_max_tuning_duration = refused("cuda.tunable.set_max_tuning_duration", REASON)
set_max_tuning_iterations = refused("cuda.tunable.set_max_tuning_iterations", REASON)
set_numerical_check_tolerances = refused("cuda.tunable.set_numerical_check_tolerances", REASON)
set_rotating_buffer_size = refused("cuda.tunable.set_rotating_buffer_size", REASON)
tune_gemm_in_file = refused("cuda.tunable.tune_gemm_in_file", REASON)
