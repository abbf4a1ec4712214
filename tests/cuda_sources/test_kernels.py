"""Every CUDA kernel, built for the host, agrees with NumPy in whatever order its threads run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cuda_sources.all_cases import cases_by_entry
from cuda_sources.running import PLAIN, POISON, check
from cudashim.build import HostBuild, compiler_missing, need
from cudashim.hostsim import HostSim
from devtensor_cupy.compile import SOURCES
from devtensor_cupy.compile.arguments import SIZES


@pytest.fixture(autouse=True, scope="module")
def compiler() -> Iterator[None]:
    need("g++", compiler_missing())
    yield


def test_every_kernel_has_cases():
    assert set(cases_by_entry()) == set(SOURCES.home)


@pytest.mark.parametrize("source", [*SOURCES], ids=lambda source: source.name)
def test_the_arguments_have_the_sizes_that_the_compiler_says(source):
    build = HostBuild(source)
    for entry in source.entries.values():
        assert build.argument_sizes(entry) == [SIZES[kind] for kind in entry.arguments]


ORDERS = [("forward", POISON), ("reverse", PLAIN), ("shuffled", POISON)]
ADDED_BY_ATOMICS = {name for name in SOURCES.home if name.startswith("add_elements")}
"""Kernels whose last bits the order of threads may change."""


@pytest.mark.parametrize("entry", [*SOURCES.home])
def test_it_agrees_with_numpy_in_every_order_of_threads(entry):
    for case in cases_by_entry()[entry]:
        bits = [check(case, HostSim(threads=threads), guard=guard) for threads, guard in ORDERS]
        assert entry in ADDED_BY_ATOMICS or bits[0] == bits[1] == bits[2], case.name


STRIDED = [name for name, home in SOURCES.home.items() if home.entries[name].launch.strided]


@pytest.mark.parametrize("entry", STRIDED)
def test_fewer_blocks_do_the_same_work(entry):
    for case in cases_by_entry()[entry]:
        check(case, HostSim(), blocks=1)
