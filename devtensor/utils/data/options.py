"""Checks of a loader's options: which exclude each other, and what they may be."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from multiprocessing.context import BaseContext
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.utils.data.sampler import check_count


def check_stream_options(shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
    """Raise if the user wants to choose the samples of an IterableDataset."""
    for name, value in (("shuffle", shuffle or None), ("sampler", sampler), ("batch_sampler", batch_sampler)):
        if value is not None:
            raise ArgumentError(
                f"[DataLoader] got {name}={value!r} for an IterableDataset; a stream sets its own order"
            )


def check_sampling_options(
    batch_size: int | None, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool
) -> None:
    """Raise if two options both say which samples form a batch."""
    if sampler is not None and shuffle:
        raise ArgumentError(
            f"[DataLoader] got a sampler and shuffle={shuffle!r}; the sampler alone chooses the order"
        )
    if batch_sampler is not None:
        if batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ArgumentError(
                "[DataLoader] got a batch_sampler beside batch_size, shuffle, sampler or drop_last; "
                "it replaces all four"
            )
    elif batch_size is not None:
        check_count("DataLoader", "batch_size", batch_size)
    elif drop_last:
        raise ArgumentError(
            "[DataLoader] got batch_size=None and drop_last=True; single samples are never short"
        )


def check_worker_options(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool
) -> None:
    """Raise if an option about workers is out of range, or is given without workers."""
    if not isinstance(num_workers, int):
        raise ArgumentTypeError(f"[DataLoader] got num_workers={num_workers!r}; an integer is needed")
    if num_workers < 0:
        raise ArgumentError(f"[DataLoader] got num_workers={num_workers}; 0 reads in this process")
    if timeout < 0:
        raise ArgumentError(f"[DataLoader] got timeout={timeout}; give seconds, or 0 to wait for ever")
    if prefetch_factor is not None:
        check_count("DataLoader", "prefetch_factor", prefetch_factor)
    for name, value in (
        ("prefetch_factor", prefetch_factor),
        ("persistent_workers", persistent_workers or None),
    ):
        if value is not None and num_workers == 0:
            raise ArgumentError(f"[DataLoader] got {name}={value} without workers; it needs num_workers > 0")


def context_of(value: Any, num_workers: int) -> BaseContext | None:
    """The multiprocessing context that a user named or gave."""
    if value is None:
        return None
    if num_workers == 0:
        raise ArgumentError(
            f"[DataLoader] got multiprocessing_context={value!r} without workers; it needs num_workers > 0"
        )
    if isinstance(value, str):
        methods = multiprocessing.get_all_start_methods()
        if value not in methods:
            raise ArgumentError(
                f"[DataLoader] got multiprocessing_context={value!r}; one of {methods} is needed"
            )
        return multiprocessing.get_context(value)
    if not isinstance(value, BaseContext):
        raise ArgumentTypeError(
            f"[DataLoader] got multiprocessing_context={value!r}; "
            "a context or the name of a start method is needed"
        )
    return value


def warn_of_too_many_workers(num_workers: int) -> None:
    """Warn if there are more workers than processors that this process may use."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if num_workers > processors:
        warnings.warn(
            f"[DataLoader] got num_workers={num_workers}, but this process may use {processors} processors; "
            "more workers than that slow each other down",
            stacklevel=3,
        )
