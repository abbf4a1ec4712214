"""`python -m devtensor`: what a bug report should say about versions, devices and threads.

`python -m devtensor run script.py ARGUMENTS`, or `run -m module ARGUMENTS`, runs a PyTorch script unchanged.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping

from devtensor.backend import registry
from devtensor.version import __version__

# Label -> names of distributions, of which at most one is installed.
PACKAGES = {
    "NumPy": ["numpy"],
    "ml_dtypes": ["ml_dtypes"],
    "safetensors": ["safetensors"],
    "CuPy": ["cupy-cuda12x", "cupy-cuda13x", "cupy"],
    "llvmlite": ["llvmlite"],
}
USAGE = """usage: python -m devtensor                                show what is installed and usable
       python -m devtensor run script.py ARGUMENTS    run a PyTorch script on devtensor
       python -m devtensor run -m module ARGUMENTS    the same for a module"""
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def versions() -> dict[str, str]:
    """Versions of devtensor, of Python and of the packages it builds on."""
    system = f"{platform.python_implementation()}, {platform.system()} {platform.machine()}"
    python = f"{platform.python_version()} ({system})"
    found = {"devtensor": __version__, "Python": python}
    return found | {label: installed_version(names) for label, names in PACKAGES.items()}


def installed_version(distributions: list[str]) -> str:
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "not installed"


def threads() -> dict[str, str]:
    """How many cores this process may use, and the variables that limit BLAS before it is loaded."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cores": str(cores)} | {name: os.environ.get(name, "not set") for name in THREAD_VARIABLES}


def described(name: str) -> Mapping[str, str]:
    """What the backend of an available device type says of itself: library, BLAS, driver."""
    backend = registry.get(name)
    try:
        return getattr(backend, "describe", dict)()
    except Exception as error:
        return {"describe()": f"{type(error).__name__}: {error}"}


def section(title: str, rows: Mapping[str, str]) -> str:
    width = max(map(len, rows), default=0)
    return "\n".join([title, *(f"  {key.ljust(width)}  {value}" for key, value in rows.items())])


def report() -> str:
    """Versions, devices, what each usable backend says of itself, and threads, as text."""
    table = registry.status()
    devices = "\n".join(["Devices", *(f"  {line}" for line in str(table).splitlines())])
    details = {status.name: described(status.name) for status in table if status.state == "available"}
    parts = [section("Versions", versions()), devices]
    parts += [section(f'Backend "{name}"', rows) for name, rows in details.items() if rows]
    return "\n\n".join([*parts, section("Threads", threads())])


def main(arguments: list[str]) -> int:
    """Print the report, or run a script; gives the exit status."""
    if not arguments:
        print(report())
        return 0
    if arguments[0] == "run" and len(arguments) > 1 + ("-m" in arguments[1:2]):
        from devtensor.carried import run

        run(arguments[1:])
        return 0
    print(USAGE, file=sys.stderr)
    return 0 if arguments[0] in ("-h", "--help") else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
