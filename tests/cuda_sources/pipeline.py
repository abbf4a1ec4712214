"""Work for two streams and their events, on any Runtime: with a wait left out it goes wrong."""

from __future__ import annotations

import numpy as np

from devtensor_cupy.compile import SOURCES
from devtensor_cupy.compile.runtime import Runtime

COUNT = 600
FIRST, SECOND = np.arange(COUNT, dtype=np.float32), np.arange(COUNT, dtype=np.float32) + 0.5


def cast_on_a_side_stream(runtime: Runtime, leave_out: str = "") -> list[np.ndarray]:
    """Two batches through one device buffer: brought by one stream, cast by another; gives what comes out."""
    copies, work = runtime.stream(), runtime.stream()
    arrived, used = runtime.event(), runtime.event()
    given, cast = runtime.allocate(COUNT * 4), runtime.allocate(COUNT * 2)
    kernels, results = runtime.load(SOURCES["casts"]), []
    for batch in (FIRST, SECOND):
        if leave_out != "wait until it is used":
            runtime.wait(copies, used)
        runtime.upload(given, batch.data, copies)
        runtime.record(arrived, copies)
        if leave_out != "wait until it is there":
            runtime.wait(work, arrived)
        runtime.launch(kernels, "cast_float32_to_float16", 3, [given, cast, COUNT], work)
        runtime.record(used, work)
        host = runtime.pinned(COUNT * 2)
        runtime.download(host, cast, work)
        results.append(np.frombuffer(host, np.float16))
    if leave_out != "wait for the results":
        runtime.synchronize(work)
    return results


def is_right(results: list[np.ndarray]) -> bool:
    """Whether both batches came out as they must."""
    return all(
        np.array_equal(result, wanted.astype(np.float16))
        for result, wanted in zip(results, (FIRST, SECOND), strict=True)
    )
