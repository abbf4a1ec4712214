"""Under autocast every op runs in the precision that PyTorch documents for that kind of device."""

from __future__ import annotations

import numpy as np
import pytest

from devtensor.amp import autocast
from devtensor.core.device import resolve
from devtensor.core.errors import DTypeError
from devtensor.core.op import Op
from devtensor.ops.examples import Case
from devtensor.testing.cases import Sample, accepts, cases_of, expected_dtypes, is_free, sample, to_numpy
from oracles import AMP

HALVES = ("float16", "bfloat16")


def table_of(device: str) -> dict[str, set[str]]:
    return AMP[getattr(resolve(device).backend, "amp_policy", "cuda")]


def policy(op: Op, case: Case, device: str) -> str | None:
    """What the documentation says of the op on this kind of device."""
    table = table_of(device)
    if op.name in table["float32 for volumes"] and len(case.inputs[0].shape) == 5:
        return "float32"
    return next((name for name in ("lower", "float32") if op.name in table[name]), None)


def check_amp(op: Op, device: str = "cpu") -> None:
    for case in cases_of(op):
        if not is_free(case) or not accepts(op, case, "float32"):
            continue
        for half in HALVES:
            lowered = {"lower": half, "float32": "float32", None: None}[policy(op, case, device)]
            for drawn in (sample(op, case, "float32", device), sample(op, case, half, device)):
                wanted = lowered or drawn.dtype
                if accepts(op, case, wanted):
                    check_sample(drawn, half, wanted)
                else:
                    check_refused(drawn, half)


def check_sample(drawn: Sample, half: str, wanted: str) -> None:
    """The results have the dtypes that the op's rule gives for `wanted`, and are finite where they can be."""
    with autocast(drawn.device.type, dtype=half):
        results = drawn.run()
    dtypes = expected_dtypes(drawn.op, drawn.case, wanted)
    found = [out.dtype.name for out in results]
    assert found == [d.name for d in dtypes], (
        f"{drawn} under autocast({half}): {found}; policy asks for {wanted}"
    )
    widened = wanted == "float32" and accepts(drawn.op, drawn.case, drawn.dtype)
    for out, plain in zip(results, drawn.run() if widened else (), strict=False):
        if out.dtype.is_floating_point:
            lost = np.isfinite(to_numpy(plain).astype(float)) & ~np.isfinite(to_numpy(out).astype(float))
            assert not lost.any(), f"{drawn} under autocast({half}): not finite where plain float32 is"


def check_refused(drawn: Sample, half: str) -> None:
    """What takes no half type takes none under autocast, unless the policy brings it to float32."""
    with autocast(drawn.device.type, dtype=half), pytest.raises(DTypeError, match="Low precision"):
        drawn.run()


def test_amp(op, device):
    check_amp(op, device)


def test_mixed_inputs_meet_in_the_widest(op, device):
    if op.name not in table_of(device)["widest"]:
        return
    for case in cases_of(op):
        wide, narrow = sample(op, case, "float32", device), sample(op, case, "float16", device)
        inputs = (narrow.inputs[0], *wide.inputs[1:])
        if len([t for t in wide.inputs if getattr(t, "ndim", 0) and t.dtype.is_floating_point]) < 2:
            continue
        if not inputs[0].ndim:
            continue
        with autocast(device, dtype="float16"):
            (out,) = wide.run(*inputs)
        assert out.dtype.name == "float32", f"{wide}: float16 and float32 met in {out.dtype}"
