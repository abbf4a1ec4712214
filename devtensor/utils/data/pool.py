"""The user's side of the worker processes: start them, send tasks, collect replies, leave nothing behind."""

from __future__ import annotations

import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from devtensor.utils.data.parcel import SHARES, Parcel, discard, pack, unpack
from devtensor.utils.data.worker import AS_TORCH, Place, Setup, Task, user_ends, work

# How long workers may take to finish their present batch when nobody wants it any more.
SECONDS_TO_LEAVE = 5.0
SECONDS_TO_DIE = 1.0


class Death:
    """The reply in the name of a worker that is no more."""

    def __init__(self, worker: int, process: Any) -> None:
        code = process.exitcode
        if code is not None and code < 0:
            end = f"was killed by signal {-code} ({signal.strsignal(-code)})"
            hint = "; the machine may be out of memory" if -code == signal.SIGKILL else ""
        else:
            end, hint = f"exited unexpectedly with code {code}", ""
        self.message = f"[DataLoader] worker {worker} (pid {process.pid}) {end}{hint}"


class WorkerPool:
    """Worker processes with one pipe each; every task that is sent gets exactly one reply.

    Replies wait in `arrived` until they are taken. The tasks that a worker owes when it dies are replied to
    with a Death. An exception in the midst of a transfer (Ctrl-C, a signal handler's) closes the pool: a
    pipe that was half read is of no more use.
    """

    def __init__(self, setup: Setup, num_workers: int, context: Any, base_seed: int) -> None:
        self.arrived: dict[int, Any] = {}
        self.closed = False
        self._token = f"devtensor-{secrets.token_hex(4)}"
        self._owed: dict[int, int] = {}
        self._first_wanted = 0
        self.processes: list[Any] = []
        self._ends: list[Connection] = []
        self._deaths: dict[int, Death] = {}
        try:
            self._start(setup, num_workers, context, base_seed)
        except BaseException:
            self.close()
            raise

    def _start(self, setup: Setup, num_workers: int, context: Any, base_seed: int) -> None:
        if SHARES:
            # One tracker for all processes: workers that started their own would unlink what they have sent.
            resource_tracker.ensure_running()
        given = setup if context.get_start_method() == "fork" else self._packed(setup, context)
        carrier = sys.modules.get(AS_TORCH)
        as_torch = carrier is not None and carrier.installed()
        for worker in range(num_workers):
            ours, theirs = context.Pipe()
            user_ends.add(ours)
            self._ends.append(ours)
            place = Place(worker, num_workers, base_seed, self._token, as_torch)
            process = context.Process(
                target=work, args=(given, place, theirs), name=f"devtensor-worker-{worker}", daemon=True
            )
            process.start()
            self.processes.append(process)
            theirs.close()

    def _packed(self, setup: Setup, context: Any) -> Parcel:
        """Pickle the dataset once; its large tensors are shared by all workers."""
        try:
            return pack(setup, f"{self._token}-setup", tensors_only=True)
        except Exception as error:
            error.add_note(
                f"[DataLoader] workers started by {context.get_start_method()!r} get the dataset, collate_fn "
                "and worker_init_fn pickled; define classes and functions at the top of a module"
            )
            raise

    def send(self, worker: int, task: Task) -> None:
        """Give a worker a task."""
        try:
            self._ends[worker].send(task)
        except OSError:
            # The worker is dead; receive() will find out, and reply for it.
            pass
        except BaseException:
            self.close()
            raise
        self._owed[task.number] = worker

    def least_busy(self, workers: Iterable[int]) -> int:
        """The worker among `workers` that owes the fewest replies."""
        owed = Counter(self._owed.values())
        return min(workers, key=lambda worker: owed[worker])

    def receive(self, timeout: float | None) -> bool:
        """Wait until something arrives; False if nothing did for `timeout` seconds."""
        try:
            if self._reply_for_the_dead():
                return True
            living = [worker for worker in range(len(self._ends)) if worker not in self._deaths]
            sources: dict[Any, int] = {self._ends[worker]: worker for worker in living}
            sources |= {self.processes[worker].sentinel: worker for worker in living}
            ready = wait(list(sources), timeout)
            for worker in {sources[source] for source in ready}:
                self._read(worker)
            self._reply_for_the_dead()
        except BaseException:
            self.close()
            raise
        return bool(ready)

    def _read(self, worker: int) -> None:
        end = self._ends[worker]
        try:
            # The process may be over with its last replies still in the pipe, so the pipe is asked first.
            if not end.poll():
                raise EOFError
            number, reply = end.recv()
        except (EOFError, OSError):
            _end([self.processes[worker]], SECONDS_TO_DIE)
            self._deaths[worker] = Death(worker, self.processes[worker])
            return
        del self._owed[number]
        if number >= self._first_wanted:
            self.arrived[number] = reply
        else:
            self._discard([number])

    def _reply_for_the_dead(self) -> bool:
        lost = [number for number, worker in self._owed.items() if worker in self._deaths]
        for number in lost:
            death = self._deaths[self._owed.pop(number)]
            self._discard([number])
            if number >= self._first_wanted:
                self.arrived[number] = death
        return bool(lost)

    def take(self, number: int) -> Any:
        """The reply to a task, which must have arrived: a batch, or what came in its place."""
        reply = self.arrived.pop(number)
        return unpack(reply) if isinstance(reply, Parcel) else reply

    def forget_before(self, number: int) -> None:
        """Throw away the replies to tasks below `number`, now and when they arrive."""
        self._first_wanted = number
        self._discard(self.arrived)
        self.arrived.clear()

    def close(self) -> None:
        """End all workers and remove the shared memory of batches that nobody took."""
        if self.closed:
            return
        self.closed = True
        for end in self._ends:
            with suppress(OSError):
                # A process forked by others may hold the pipe open, so closing it would not be noticed.
                end.send(None)
            end.close()
        _end(self.processes, SECONDS_TO_LEAVE)
        self._discard([*self._owed, *self.arrived, "setup"])
        self.arrived.clear()

    def _discard(self, numbers: Iterable[int | str]) -> None:
        for number in numbers:
            discard(f"{self._token}-{number}")


def _end(processes: list[Any], patience: float) -> None:
    """Wait for processes to end; after `patience` seconds terminate, and at last kill, those that did not."""
    deadline = time.monotonic() + patience
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    for stop in ("terminate", "kill"):
        stubborn = [process for process in processes if process.is_alive()]
        for process in stubborn:
            getattr(process, stop)()
        for process in stubborn:
            process.join(SECONDS_TO_DIE)
