"""What happens to a loader's workers when something fails, and that nothing of them is left behind."""

from __future__ import annotations

import gc
import multiprocessing
import os
import secrets
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import devtensor
from devtensor.utils.data import DataLoader, Dataset, IterableDataset, WorkerError, parcel, pool

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*processors; more workers:UserWarning"),
    # Python 3.12 and later say this of every fork beside the threads of a BLAS library.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

SHARED_FILES = Path("/dev/shm")


def segments(token: str) -> list[Path]:
    """The shared memory of the pool that names it by `token`."""
    return list(SHARED_FILES.glob(f"devtensor-{token}-*"))


@pytest.fixture(autouse=True)
def nothing_is_left_behind(monkeypatch):
    tokens = []

    def token_hex(size: int) -> str:
        tokens.append(secrets.token_hex(size))
        return tokens[-1]

    monkeypatch.setattr(pool, "secrets", SimpleNamespace(token_hex=token_hex))
    yield
    gc.collect()
    assert not multiprocessing.active_children()
    assert not [path for token in tokens for path in segments(token)]


class Unwieldy(Exception):
    """Cannot be made from a text, but can be pickled."""

    def __init__(self, code: int, hint: str) -> None:
        super().__init__(code, hint)
        self.code = code


class Failing(Dataset):
    """Sample 1 does what it is told to; all are large enough for shared memory."""

    def __init__(self, action) -> None:
        self.action = action

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int):
        if index == 1:
            self.action()
        return devtensor.tensor([float(index)] * 20_000)


class Raise:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self) -> None:
        raise self.error


def exit_at_once() -> None:
    os._exit(3)


def kill_oneself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep_long() -> None:
    time.sleep(60)


def sleep_a_second() -> None:
    time.sleep(1)


def first_values(loader):
    return [batch[0, 0].item() for batch in loader]


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), KeyError("no"), FileNotFoundError(2, "no"), ZeroDivisionError(), MemoryError("no")],
)
def test_an_exception_keeps_its_type_and_shows_its_traceback(error):
    batches = iter(DataLoader(Failing(Raise(error)), num_workers=2))
    assert next(batches)[0, 0].item() == 0.0
    with pytest.raises(type(error)) as caught:
        next(batches)
    assert type(caught.value) is type(error)
    text = str(caught.value)
    assert text.startswith(f"Caught {type(error).__name__} in DataLoader worker process 1.\n")
    assert "self.action()" in text and "test_data_failures.py" in text and "\\n" not in text
    assert first_values(batches) == [2.0, 3.0, 4.0, 5.0]


def test_an_exception_that_needs_more_than_a_text_comes_with_a_note():
    with pytest.raises(Unwieldy) as caught:
        list(DataLoader(Failing(Raise(Unwieldy(7, "x"))), num_workers=1))
    assert caught.value.code == 7
    assert "self.action()" in caught.value.__notes__[0]


def test_an_exception_that_cannot_cross_becomes_a_worker_error():
    class Local(Exception):
        pass

    loader = DataLoader(Failing(Raise(Local("no"))), num_workers=1, multiprocessing_context="fork")
    with pytest.raises(WorkerError, match="Caught Local in DataLoader worker process 0") as caught:
        list(loader)
    assert "self.action()" in str(caught.value)


def test_a_stray_stop_iteration_does_not_end_the_loop():
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(DataLoader(Failing(Raise(StopIteration())), num_workers=1))


def test_a_stream_that_fails():
    class Broken(IterableDataset):
        def __iter__(self):
            yield 1
            raise ValueError("half way")

    loader = DataLoader(Broken(), num_workers=1, multiprocessing_context="fork")
    with pytest.raises(ValueError, match="half way"):
        list(loader)


def fail_to_start(worker: int) -> None:
    raise ValueError(f"no start for {worker}")


def test_a_worker_that_fails_to_start():
    with pytest.raises(ValueError, match="no start for 0"):
        list(DataLoader(Failing(print), num_workers=2, worker_init_fn=fail_to_start))


def test_a_batch_that_cannot_be_pickled():
    loader = DataLoader(
        [1], num_workers=1, collate_fn=lambda batch: lambda: 0, multiprocessing_context="fork"
    )
    with pytest.raises(Exception, match="lambda") as caught:
        list(loader)
    assert "DataLoader worker process 0" in str(caught.value)


class Unreadable:
    """An index that can be pickled, but not unpickled."""

    def __reduce__(self):
        return int, ("no number",)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_indices_that_cannot_be_read_by_the_worker():
    with pytest.raises(WorkerError, match=r"worker 0 .* exited unexpectedly"):
        list(DataLoader([1], num_workers=1, sampler=[Unreadable()]))


def test_a_segment_whose_maker_was_killed_before_it_had_a_size():
    prefix = f"devtensor-test-{os.getpid()}"
    paths = [SHARED_FILES / f"{prefix}-{count}" for count in range(2)]
    for path in paths:
        path.touch()
    parcel.discard(prefix)
    assert not any(path.exists() for path in paths)


def test_a_collate_fn_that_cannot_be_sent():
    loader = DataLoader([1], num_workers=1, collate_fn=lambda batch: batch, multiprocessing_context="spawn")
    with pytest.raises(Exception, match="lambda") as caught:
        iter(loader)
    assert "top of a module" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (exit_at_once, "exited unexpectedly with code 3"),
        (kill_oneself, r"killed by signal 9 .*out of memory"),
        (Raise(SystemExit(4)), "exited unexpectedly with code 4"),
    ],
)
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_the_death_of_a_worker(method, action, message):
    batches = iter(DataLoader(Failing(action), num_workers=2, multiprocessing_context=method))
    assert next(batches)[0, 0].item() == 0.0
    with pytest.raises(WorkerError, match=rf"worker 1 \(pid \d+\) .*{message}"):
        next(batches)
    with pytest.raises(WorkerError, match="stopped"):
        next(batches)


def test_a_loader_with_persistent_workers_recovers_from_a_death():
    loader = DataLoader(Failing(exit_at_once), num_workers=2, persistent_workers=True, sampler=[0, 1])
    for _ in range(2):
        with pytest.raises(WorkerError, match="code 3"):
            list(loader)


def test_the_death_of_an_idle_worker_is_noticed_in_the_next_pass():
    loader = DataLoader(Failing(print), num_workers=1, persistent_workers=True, sampler=[0, 2])
    assert first_values(loader) == [0.0, 2.0]
    (worker,) = multiprocessing.active_children()
    worker.kill()
    worker.join()
    with pytest.raises(WorkerError, match="killed by signal 9"):
        list(loader)
    assert first_values(loader) == [0.0, 2.0]


def test_a_timeout_and_that_one_may_go_on_after_it():
    batches = iter(DataLoader(Failing(sleep_a_second), num_workers=1, timeout=0.2))
    assert next(batches)[0, 0].item() == 0.0
    started = time.monotonic()
    with pytest.raises(WorkerError, match=r"timed out after 0\.2 seconds"):
        next(batches)
    assert 0.15 < time.monotonic() - started < 0.8
    time.sleep(1.2)
    assert first_values(batches) == [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize("persistent", [False, True])
def test_leaving_early(persistent):
    loader = DataLoader(Failing(print), num_workers=2, prefetch_factor=3, persistent_workers=persistent)
    for batch in loader:
        assert batch[0, 0].item() == 0.0
        break
    assert bool(multiprocessing.active_children()) == persistent


def test_a_loader_is_freed_without_the_garbage_collector():
    loader = DataLoader(Failing(print), num_workers=1, persistent_workers=True)
    gc.disable()
    try:
        next(iter(loader))
        assert multiprocessing.active_children()
        del loader
        assert not multiprocessing.active_children()
    finally:
        gc.enable()


def test_leaving_a_worker_that_does_not_end(monkeypatch):
    monkeypatch.setattr(pool, "SECONDS_TO_LEAVE", 0.2)
    batches = iter(DataLoader(Failing(sleep_long), num_workers=2))
    next(batches)
    started = time.monotonic()
    del batches
    gc.collect()
    assert time.monotonic() - started < 5
    assert not multiprocessing.active_children()


def test_an_interrupt_stops_the_workers():
    batches = iter(DataLoader(Failing(sleep_a_second), num_workers=1))
    next(batches)
    main = threading.main_thread().ident
    threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        next(batches)
    assert not multiprocessing.active_children()
    with pytest.raises(WorkerError, match="stopped"):
        next(batches)


SCRIPT = """
    import os, signal, sys, time
    import devtensor
    from devtensor.utils.data import DataLoader, Dataset

    class Images(Dataset):
        def __len__(self):
            return 50
        def __getitem__(self, index):
            return devtensor.tensor([float(index)] * 20_000)

    if __name__ == "__main__":
        options = dict(num_workers=2, multiprocessing_context={method!r}, persistent_workers=True)
        loader = DataLoader(Images(), **options)
        batches = iter(loader)
        kept = [next(batches), next(batches)]
        pool = batches._pool
        print(pool._token, *[process.pid for process in pool.processes], flush=True)
        {ending}
"""


def run_script(tmp_path: Path, method: str, ending: str) -> subprocess.Popen:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT).format(method=method, ending=ending))
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-W", "error::UserWarning:multiprocessing", str(script)],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def nothing_remains(line: str) -> bool:
    """Whether the pool whose token and processes a script printed is gone, within ten seconds."""
    name, *pids = line.split()
    token = name.removeprefix("devtensor-")
    return wait_for(lambda: not segments(token) and not any(is_running(int(pid)) for pid in pids))


@pytest.mark.parametrize(
    ("method", "ending", "code"),
    [
        ("fork", "pass", 0),
        ("spawn", "pass", 0),
        ("forkserver", "pass", 0),
        ("fork", "raise SystemExit(5)", 5),
        ("fork", "signal.raise_signal(signal.SIGINT)", -signal.SIGINT),
    ],
)
def test_the_end_of_the_interpreter(tmp_path, method, ending, code):
    process = run_script(tmp_path, method, ending)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "leaked" not in err and "ignored" not in err
    assert nothing_remains(out)


def test_workers_end_when_their_user_is_killed(tmp_path):
    process = run_script(tmp_path, "fork", "os.kill(os.getpid(), signal.SIGKILL)")
    line = process.stdout.readline()
    assert process.wait(timeout=60) == -signal.SIGKILL
    # The resource tracker removes the segments once the last process is gone.
    assert len(line.split()) == 3 and nothing_remains(line)
    process.communicate(timeout=10)


def test_ctrl_c_in_the_terminal_is_left_to_the_user(tmp_path):
    process = run_script(tmp_path, "fork", "print('go', flush=True); time.sleep(30)")
    process.stdout.readline()
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert err.count("Traceback") == 1 and "KeyboardInterrupt" in err
