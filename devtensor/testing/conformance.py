"""Does a backend keep the contract? What its author runs: `python -m devtensor.testing.conformance mydev`.

Every op's examples run on the device and on the CPU, with the same numbers, and the results are compared:
values, dtypes, shapes, strides of views, gradients; and what the contract of kernels says beside: inputs stay
as they were, results are fresh memory, views are views, nothing visits the host. The CPU is the reference:
checked itself, its fused kernels are compared with the composites' bodies, and its primitives with rules and
finite differences alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import devtensor.backend
from devtensor.core.dtype import DTYPES
from devtensor.core.errors import ArgumentError, DevtensorError, KernelMissing
from devtensor.core.op import OPS, Op
from devtensor.testing import checks, gradients, list_ops


def required_kernels() -> list[str]:
    """What every backend must bring: the primitives' kernels, and the one that writes in place."""
    return sorted(["write", *(name for name, op in OPS.items() if not op.composite)])


CHECKS: dict[str, Callable[[Op, Any], None]] = {
    "values": checks.check_parity,
    "dtypes": checks.check_dtypes,
    "shapes": checks.check_shapes,
    "contract": checks.check_contract,
    "errors": checks.check_errors,
    "gradients": gradients.check_gradients,
}


class ConformanceError(AssertionError):
    """What a backend does otherwise than the contract says; `failures` holds (op, check, text)."""

    def __init__(self, device: str, failures: list[tuple[str, str, str]]) -> None:
        self.device = device
        self.failures = failures
        lines = [f"{op}: {check}: {text}" for op, check, text in failures]
        super().__init__(f"[{device}] {len(failures)} checks failed:\n" + "\n".join(lines))


def check_op(name: str, device: str, only: tuple[str, ...] = tuple(CHECKS)) -> None:
    """Run one op's examples on a device.

    Errors: ConformanceError with all that failed.
    Example: `check_op("matmul", "mydev")`
    """
    if name not in OPS:
        raise ArgumentError(f"[check_op] no op is called {name!r}; the ops are {', '.join(sorted(OPS))}")
    failures = _failures(OPS[name], device, only)
    if failures:
        raise ConformanceError(device, failures)


def check_backend(name: str, report: Callable[[str], None] | None = None) -> int:
    """Run every op's examples on a device; gives the number of checks that passed.

    `report` gets a line for each op. A primitive without a kernel fails; a composite needs none.

    Errors: ConformanceError with all that failed; DeviceError if the device cannot be used.
    Example: `check_backend("mydev")`
    """
    failures, passed = _member_failures(name), 0
    for op in list_ops.offered(name):
        try:
            list_ops.check_list_op(op, name)
            passed += 1
        except Exception as error:
            failures.append((op.name, "list kernel", f"{type(error).__name__}: {error}"))
    for op in OPS.values():
        found = _failures(op, name, tuple(CHECKS))
        failures += found
        passed += len(CHECKS) - len(found)
        if report is not None:
            report(f"{op.name}: {'; '.join(f'{check}: {text}' for _, check, text in found) or 'ok'}")
    if failures:
        raise ConformanceError(name, failures)
    return passed


def _failures(op: Op, device: str, only: tuple[str, ...]) -> list[tuple[str, str, str]]:
    found = []
    for check in only:
        try:
            CHECKS[check](op, device)
        except KernelMissing as error:
            return [(op.name, check, str(error))]
        except Exception as error:
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            found.append((op.name, check, f"{kind}{error}"))
    return found


def _member_failures(name: str) -> list[tuple[str, str, str]]:
    """What is wrong with the members that are no kernels."""
    backend = devtensor.backend.get(name)
    found = []

    def demand(truth: bool, member: str, text: str) -> None:
        if not truth:
            found.append((name, member, text))

    demand(backend.device_count() > 0, "device_count", "there is no device")
    for dtype in sorted(backend.dtypes):
        size = DTYPES[dtype].itemsize
        content = bytes(k % 2 if dtype == "bool" else k for k in range(32))
        array = backend.upload(memoryview(content), (2, 16 // size), dtype, 0)
        demand(
            tuple(array.shape) == (2, 16 // size),
            "upload",
            f"{dtype} arrives with shape {tuple(array.shape)}",
        )
        demand(bytes(backend.download(array)) == content, "download", f"{dtype} comes back with other bytes")
        demand(backend.dtype_of(array) == dtype, "dtype_of", f"{dtype} is called {backend.dtype_of(array)}")
        demand(
            tuple(backend.strides_of(array)) == (16 // size, 1),
            "strides_of",
            f"{dtype}: {backend.strides_of(array)}",
        )
    with backend.on(0):
        backend.synchronize(0)
    memory = backend.memory(0)
    demand(memory.allocated >= 0 and memory.peak >= 0, "memory", f"negative numbers: {memory}")
    return found


def main(arguments: list[str]) -> int:
    """Check the device types named on the command line, or list the kernels that one must have; 1 if any
    fails."""
    if arguments == ["--required"]:
        print("\n".join(required_kernels()))
        return 0
    if not arguments or arguments[0].startswith("-"):
        print("usage: python -m devtensor.testing.conformance DEVICE... | --required")
        return 2
    for name in arguments:
        try:
            passed = check_backend(name, report=print)
        except (ConformanceError, DevtensorError) as error:
            print(error, file=sys.stderr)
            return 1
        print(f"{name}: all {passed} checks passed on {len(OPS)} ops")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
