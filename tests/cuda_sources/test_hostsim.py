"""HostSim finds missing waits, use after free, and pinned memory that is reused early."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from cuda_sources.pipeline import COUNT, FIRST, cast_on_a_side_stream, is_right
from cudashim.build import compiler_missing, need
from cudashim.hostsim import POISON, HostSim, MemoryFault
from devtensor_cupy.compile import SOURCES

ORDERS = ["late", "early", "shuffled"]


@pytest.fixture(autouse=True, scope="module")
def compiler() -> Iterator[None]:
    need("g++", compiler_missing())
    yield


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("seed", range(3))
def test_a_pipeline_with_all_its_waits_is_right(order, seed):
    assert is_right(cast_on_a_side_stream(HostSim(order, seed=seed)))


@pytest.mark.parametrize(
    ("left_out", "order"),
    [
        ("wait until it is there", "late"),
        ("wait until it is used", "early"),
        ("wait for the results", "late"),
    ],
)
def test_a_missing_wait_is_found(left_out, order):
    assert not is_right(cast_on_a_side_stream(HostSim(order), left_out))


def test_a_random_order_finds_missing_waits_too():
    for left_out in ("wait until it is there", "wait until it is used"):
        runtimes = [HostSim("shuffled", seed=seed) for seed in range(10)]
        assert not all(is_right(cast_on_a_side_stream(runtime, left_out)) for runtime in runtimes)


def launch_and_free(runtime: HostSim, wait: bool) -> None:
    stream = runtime.stream()
    given, cast = runtime.allocate(COUNT * 4), runtime.allocate(COUNT * 2)
    runtime.upload(given, FIRST.data, stream)
    kernels = runtime.load(SOURCES["casts"])
    runtime.launch(kernels, "cast_float32_to_float16", 3, [given, cast, COUNT], stream)
    if wait:
        runtime.synchronize(stream)
    runtime.free(given)
    runtime.synchronize(stream)


def test_use_after_free_is_found():
    launch_and_free(HostSim(), wait=True)
    with pytest.raises(MemoryFault, match="nobody holds"):
        launch_and_free(HostSim(), wait=False)


def uploaded(runtime: HostSim, then: str) -> np.ndarray:
    """What is on the device after an upload from pinned memory that is reused, or freed, at once."""
    stream, event, address = runtime.stream(), runtime.event(), runtime.allocate(COUNT * 4)
    host = runtime.pinned(COUNT * 4)
    np.frombuffer(host, np.float32)[:] = FIRST
    runtime.upload(address, host, stream)
    runtime.record(event, stream)
    if then.startswith("wait"):
        while not runtime.passed(event):
            continue
    if then.endswith("free"):
        runtime.free_pinned(host)
    else:
        np.frombuffer(host, np.float32)[:] = -1
    back = np.empty(COUNT, np.float32)
    runtime.download(back.data, address, stream)
    return back


def test_pinned_memory_that_is_reused_early_is_found():
    assert np.array_equal(uploaded(HostSim(), "wait, then reuse"), FIRST)
    assert np.array_equal(uploaded(HostSim(), "wait, then free"), FIRST)
    assert np.array_equal(uploaded(HostSim(), "reuse"), np.full(COUNT, -1))
    with pytest.raises(MemoryFault, match="upload"):
        uploaded(HostSim(), "free")


def test_memory_that_is_not_pinned_is_read_at_once():
    runtime, given = HostSim(), FIRST.copy()
    stream, address = runtime.stream(), runtime.allocate(COUNT * 4)
    runtime.upload(address, given.data, stream)
    given[:] = -1
    back = np.empty_like(given)
    runtime.download(back.data, address, stream)
    assert np.array_equal(back, FIRST)


def test_fresh_memory_is_poisoned_and_bounds_are_kept():
    runtime = HostSim()
    stream, address, other = runtime.stream(), runtime.allocate(8), runtime.allocate(8)
    back = np.empty(8, np.uint8)
    runtime.download(back.data, address, stream)
    assert (back == POISON).all()
    runtime.fill(address, 7, 8, stream)
    runtime.copy(other, address, 8, stream)
    runtime.download(back.data, other, stream)
    assert (back == 7).all()
    for size in (9, 4000):
        runtime.copy(other, address, size, stream)
        with pytest.raises(MemoryFault, match="copy"):
            runtime.synchronize(stream)
    with pytest.raises(MemoryFault, match="not the beginning"):
        runtime.free(address + 4)
