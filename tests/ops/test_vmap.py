"""vmap of every op, over all inputs and over each alone, gives what the op gives one example at a time."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor as torch
from devtensor.testing.cases import cases_of, dtypes_of, sample, to_numpy

EXAMPLES = 3
LEFT_OUT = {"to_device": "its parameter is a device, which a level of vmap hides"}


def dtype_for(op, case, device) -> str | None:
    """A dtype in which rounding does not show, if the case takes one."""
    taken = dtypes_of(op, case, device)
    return next((name for name in ("float64", "complex128", "int64") if name in taken), (taken or [None])[0])


def choices(inputs) -> list[tuple[int, ...]]:
    """Which inputs are mapped over: all of them, and each alone."""
    places = [k for k, value in enumerate(inputs) if isinstance(value, torch.Tensor)]
    return [tuple(places), *((k,) for k in places)] if len(places) > 1 else [tuple(places)]


def mapped(drawn, chosen) -> tuple:
    """The op under vmap, the samples' inputs at `chosen` stacked."""
    given = [torch.stack([one.inputs[k] for one in drawn]) for k in chosen]

    def one(*values):
        inputs = list(drawn[0].inputs)
        for k, value in zip(chosen, values, strict=True):
            inputs[k] = value
        return drawn[0].run(*inputs)

    return torch.vmap(one)(*given)


def in_turn(drawn, chosen) -> tuple:
    """The same, one example after the other."""
    rows = []
    for one in drawn:
        inputs = [v if k in chosen else drawn[0].inputs[k] for k, v in enumerate(one.inputs)]
        rows.append(drawn[0].run(*inputs))
    return tuple(torch.stack(column) for column in zip(*rows, strict=True))


def test_vmap(op, device):
    if op.name in LEFT_OUT or op.name.startswith("random_"):
        return
    for case in cases_of(op):
        dtype = dtype_for(op, case, device)
        if dtype is None:
            continue
        drawn = [sample(op, case, dtype, device, seed) for seed in range(EXAMPLES)]
        for chosen in choices(drawn[0].inputs):
            if not chosen:
                continue
            if op.data_dependent:
                with pytest.raises(RuntimeError, match="vmap"):
                    mapped(drawn, chosen)
                continue
            found, expected = mapped(drawn, chosen), in_turn(drawn, chosen)
            for have, want in zip(found, expected, strict=True):
                assert have.dtype is want.dtype, f"{drawn[0]} over {chosen}"
                np.testing.assert_allclose(
                    to_numpy(have), to_numpy(want), rtol=1e-9, atol=1e-9, err_msg=f"{drawn[0]} over {chosen}"
                )


def smooth(op, inputs) -> list[int]:
    """The inputs that have a formula."""
    lacking = {name for name in op.inputs if op.composite is False and op.joint is None} - op.rules.keys()
    return [
        k
        for k, v in enumerate(inputs)
        if isinstance(v, torch.Tensor) and v.dtype is torch.float64 and op.input_name(k) not in lacking
    ]


def test_gradients_under_vmap(op, device):
    """The gradients of every example by every input, whether that differs by example or not."""
    if op.name in LEFT_OUT or op.name.startswith("random_") or op.data_dependent:
        return
    if not op.differentiable or op.refuses:
        return
    case = next((c for c in cases_of(op) if "float64" in dtypes_of(op, c, device)), None)
    if case is None:
        return
    drawn = [sample(op, case, "float64", device, seed) for seed in range(EXAMPLES)]
    if not any(out.dtype.is_floating_point or out.dtype.is_complex for out in drawn[0].run()):
        return
    for place in smooth(op, drawn[0].inputs):
        for chosen in choices(drawn[0].inputs):
            found = torch.vmap(lambda *v, k=place, c=chosen: gradient(drawn, k, c, v))(
                *[torch.stack([one.inputs[k] for one in drawn]) for k in chosen]
            )
            rows = [gradient(drawn, place, chosen, [one.inputs[k] for k in chosen]) for one in drawn]
            np.testing.assert_allclose(
                to_numpy(found),
                to_numpy(torch.stack(rows)),
                rtol=1e-8,
                atol=1e-8,
                err_msg=f"{drawn[0]} {place} {chosen}",
            )


def gradient(drawn, place, chosen, values):
    """The gradient, by one input, of a smooth number made of all results."""
    inputs = list(drawn[0].inputs)
    for k, value in zip(chosen, values, strict=True):
        inputs[k] = value

    def number(value):
        given = [value if k == place else v for k, v in enumerate(inputs)]
        made = [out for out in drawn[0].run(*given) if out.dtype.is_floating_point or out.dtype.is_complex]
        return sum((out * out.conj()).real.sum() if out.dtype.is_complex else out.sin().sum() for out in made)

    return torch.func.grad(number)(inputs[place])


def test_what_is_left_out_is_there():
    from devtensor.core.op import OPS

    assert LEFT_OUT.keys() <= OPS.keys()
