"""The stage of gpu_check.py that asks whether kernels of our own are right, and what launches them."""

from __future__ import annotations

import os
from typing import Any

from gpu_facts import FEW_CASES
from gpu_numbers import Numbers, is_standin

ALL_CASES = 10**6


def runtime(told: Numbers, *options: str) -> Any:
    """What launches our sources: the device, or the host's simulation where a stand-in plays it."""
    if is_standin():
        from cudashim.hostsim import HostSim

        told["note"] = "HostSim plays the device"
        return HostSim()
    from devtensor_cupy.compile.cupy_runtime import CupyRuntime

    return CupyRuntime(options)


def sources(told: Numbers) -> None:
    """Every kernel on the device against NumPy; then the bits against the host build where there is a g++."""
    from cuda_sources.all_cases import cases_by_entry
    from cuda_sources.running import check

    most = int(os.environ.get(FEW_CASES, str(ALL_CASES)))
    cases = [case for each in cases_by_entry().values() for case in each]
    chosen = cases[:: max(1, len(cases) // most)][:most]
    device, bad, bits = runtime(told, "--fmad=false"), [], []
    for place, case in enumerate(chosen):
        try:
            bits.append(check(case, device))
        except Exception as error:
            bad.append(f"{case.name}: {type(error).__name__}: {str(error)[:200]}")
        told["cases"] = place + 1
    told["wrong"] = bad
    assert not bad, bad
    if most == ALL_CASES and not is_standin():
        compare_bits(told, chosen, bits)


def compare_bits(told: Numbers, cases: list[Any], bits: list[list[bytes]]) -> None:
    """Which kernels give other bits than their host build, which takes its time to be made."""
    from cuda_sources.running import check
    from cudashim.build import compiler_missing
    from cudashim.hostsim import HostSim

    key, reason = "kernels whose bits differ from the host's", compiler_missing()
    if reason is not None:
        told[key] = reason
        return
    told[key], host, differing = [], HostSim(), set()
    for place, (case, found) in enumerate(zip(cases, bits, strict=True)):
        if check(case, host) != found:
            differing.add(case.entry)
            told[key] = sorted(differing)
        told["cases compared with the host"] = place + 1
