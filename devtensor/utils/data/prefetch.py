"""The pass that worker processes read ahead of the loop."""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from multiprocessing import util
from typing import TYPE_CHECKING, Any

from devtensor.utils.data.failure import Failure, WorkerError
from devtensor.utils.data.iterate import BatchIterator
from devtensor.utils.data.pool import Death, WorkerPool
from devtensor.utils.data.worker import Ended, Setup, Task

if TYPE_CHECKING:
    from devtensor.utils.data.dataloader import DataLoader


class WorkerIterator(BatchIterator):
    """Keeps `prefetch_factor` tasks per worker on their way.

    With `in_order` tasks go to the workers in turn and batches come in the order of their tasks, so that a
    pass depends on the seeds alone; else a task goes to the least busy worker, and batches come when they are
    ready.
    """

    def __init__(self, loader: DataLoader) -> None:
        super().__init__(loader)
        self._in_order = loader.in_order
        self._prefetch_factor = loader.prefetch_factor
        self._capacity = loader.num_workers * (loader.prefetch_factor or 1)
        self._waiting: dict[int, int] = {}
        self._next_number = 0
        self._epoch = 0
        super()._reset(loader, first_iter=True)
        self._pool = WorkerPool(
            Setup(loader._reading, loader.worker_init_fn),
            loader.num_workers,
            loader.multiprocessing_context or multiprocessing.get_context(),
            self._base_seed,
        )
        # Ends the workers when this iterator is dropped and when the interpreter exits, but never in a fork.
        util.Finalize(self, self._pool.close, exitpriority=10)
        self._begin_tasks()

    @property
    def _workers(self) -> list[Any]:
        """The processes."""
        return self._pool.processes

    def _shutdown_workers(self) -> None:
        """End the processes now."""
        self._pool.close()

    @property
    def is_closed(self) -> bool:
        """Whether the workers are gone."""
        return self._pool.closed

    def _reset(self, loader: DataLoader, first_iter: bool = False) -> None:
        """Start a pass; what the workers still read for an earlier one is thrown away."""
        super()._reset(loader, first_iter)
        self._begin_tasks()

    def _begin_tasks(self) -> None:
        self._pool.forget_before(self._next_number)
        self._waiting.clear()
        self._epoch += 1
        self._turns = deque(range(self._num_workers))
        self._send_ahead()

    def _send_ahead(self) -> None:
        while self._turns and len(self._waiting) < self._capacity:
            try:
                indices = self._next_index()
            except StopIteration:
                return
            worker = self._turns[0] if self._in_order else self._pool.least_busy(self._turns)
            self._turns.rotate(-1)
            self._pool.send(worker, Task(self._next_number, self._epoch, indices))
            self._waiting[self._next_number] = worker
            self._next_number += 1

    def _next_data(self) -> Any:
        deadline = time.monotonic() + self._timeout if self._timeout else None
        while self._waiting:
            number = self._wait_for_reply(deadline)
            reply = self._pool.take(number)
            if isinstance(reply, Death):
                self._pool.close()
                raise WorkerError(reply.message)
            worker = self._waiting.pop(number)
            if isinstance(reply, Ended) and worker in self._turns:
                self._turns.remove(worker)
            self._send_ahead()
            if isinstance(reply, Failure):
                reply.reraise()
            if not isinstance(reply, Ended):
                return reply
        if not self._persistent_workers:
            self._pool.close()
        raise StopIteration

    def _wait_for_reply(self, deadline: float | None) -> int:
        """The number of the next task to deliver, once its reply has arrived."""
        while True:
            wanted = self._waiting if self._in_order else self._pool.arrived
            first = next(iter(wanted), None)
            if first is not None and first in self._pool.arrived:
                return first
            if self._pool.closed:
                raise WorkerError(
                    "[DataLoader] the workers of this pass were stopped; call iter(loader) to start anew"
                )
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._pool.receive(left):
                raise WorkerError(f"[DataLoader] timed out after {self._timeout} seconds without a batch")
