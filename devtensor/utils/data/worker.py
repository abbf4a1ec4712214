"""What a worker process does: take tasks, read batches, send them back."""

from __future__ import annotations

import importlib
import queue
import signal
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from devtensor.functions.settings import set_num_threads
from devtensor.utils.data.failure import Failure
from devtensor.utils.data.fetch import Exhausted, Reading
from devtensor.utils.data.parcel import Parcel, pack, unpack
from devtensor.utils.data.seeds import seed_process
from devtensor.utils.data.worker_info import WorkerInfo, set_worker_info

AS_TORCH = "devtensor.as_torch"

# The pipe ends that this process holds as a user of loaders: a forked worker inherits them and has to close
# them, or other workers would not see that their user is gone.
user_ends: weakref.WeakSet[Connection] = weakref.WeakSet()


class Setup(NamedTuple):
    """What every worker of a pool is given."""

    reading: Reading
    worker_init_fn: Callable[[int], Any] | None


class Place(NamedTuple):
    """What tells one worker of a pool from the others; segments are named after `token`."""

    id: int
    num_workers: int
    base_seed: int
    token: str
    # Whether `import torch` means devtensor here, too.
    as_torch: bool = False

    def __str__(self) -> str:
        return f"in DataLoader worker process {self.id}"


class Task(NamedTuple):
    """One batch to read. Streams start anew with each epoch; tasks of an epoch that is over are dropped."""

    number: int
    epoch: int
    indices: Any


class Ended(NamedTuple):
    """The reply to a task that a worker's stream had no batch for."""


class Dropped(NamedTuple):
    """The reply to a task that nobody waits for any more."""


class Inbox:
    """Takes tasks off the pipe as they come, so that the user's process is never blocked in sending one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self.epoch = 0
        self.closed = False
        threading.Thread(target=self._listen, name="devtensor-inbox", daemon=True).start()

    def _listen(self) -> None:
        try:
            with suppress(EOFError, OSError):
                while (task := self._connection.recv()) is not None:
                    self.epoch = task.epoch
                    self._tasks.put(task)
        finally:
            self.closed = True
            self._tasks.put(None)

    def take(self) -> Task | None:
        """Wait for the next task; None when the user is done with this worker, or is gone."""
        task = self._tasks.get()
        return None if self.closed else task


class BatchReader:
    """Turns tasks into replies: a Parcel, Ended, or the Failure of the user's code."""

    def __init__(self, setup: Setup | Parcel, place: Place) -> None:
        self._place = place
        self._epoch: int | None = None
        self._failure: Failure | None = None
        try:
            self._reading = _start(setup, place)
        except Exception as error:
            self._failure = Failure(error, str(place))

    def reply_to(self, task: Task) -> Parcel | Ended | Failure:
        """Read the batch of a task."""
        if self._failure is not None:
            return self._failure
        try:
            if task.epoch != self._epoch:
                self._fetcher = self._reading.fetcher()
                self._epoch = task.epoch
            return pack(self._fetcher.fetch(task.indices), f"{self._place.token}-{task.number}")
        except Exhausted:
            return Ended()
        except Exception as error:
            return Failure(error, str(self._place))


def work(setup: Setup | Parcel, place: Place, connection: Connection) -> None:
    """Be a worker process until the user hangs up."""
    # Ctrl-C goes to all processes of a terminal; the user's process decides what becomes of its workers.
    # Its own handler of SIGTERM is not for them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for end in list(user_ends):
        end.close()
    if place.as_torch:
        importlib.import_module(AS_TORCH).install()
    inbox = Inbox(connection)
    reader = BatchReader(setup, place)
    with suppress(BrokenPipeError, ConnectionResetError):
        while (task := inbox.take()) is not None:
            reply = Dropped() if task.epoch < inbox.epoch else reader.reply_to(task)
            connection.send((task.number, reply))


def _start(setup: Setup | Parcel, place: Place) -> Reading:
    reading, worker_init_fn = unpack(setup, keep=True) if isinstance(setup, Parcel) else setup
    seed = place.base_seed + place.id
    seed_process(seed)
    # Workers share the processors with each other and with the loop.
    set_num_threads(1)
    set_worker_info(WorkerInfo(place.id, place.num_workers, seed, reading.dataset))
    if worker_init_fn is not None:
        worker_init_fn(place.id)
    return reading
