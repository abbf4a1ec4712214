"""PyTorch's path to futures: results that are there."""

from __future__ import annotations

from devtensor.jit.futures import Future

__all__ = ["Future", "collect_all", "wait_all"]


def collect_all(futures: list[Future]) -> Future:
    """A future of the futures."""
    return Future(futures)


def wait_all(futures: list[Future]) -> list:
    """The results of the futures."""
    return [future.wait() for future in futures]
