"""Every op against PyTorch itself, on the examples of its declaration: an optional run (--oracle torch)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from devtensor.core.op import OPS, Op
from devtensor.testing.cases import Sample, samples_of, to_numpy

# Known differences, as (op, dtype or None for all): see docs/numerics.md for what devtensor does instead.
DIFFERENT = {
    ("all", "uint8"),  # PyTorch gives uint8 for uint8 and bool for all else.
    ("any", "uint8"),
    ("kl_div", None),  # PyTorch's own primitives of these names number their reductions.
    ("binary_cross_entropy_with_logits", None),
    ("addcmul", None),  # The same words in another order.
    ("addcdiv", None),
    ("batch_norm", None),
    ("layer_norm", None),
    ("group_norm", None),
    ("rms_norm", None),
    ("embedding", None),
    ("matrix_exp", "float16"),  # Infinite on PyTorch's CPU.
    ("matrix_exp", "bfloat16"),
    ("ctc_loss", None),  # PyTorch's is a mean by default.
}
NEAR = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 2e-5, "float64": 1e-9}
NEAR |= {"complex64": 2e-5, "complex128": 1e-9}


def counterpart(torch: Any, op: Op) -> Any:
    """PyTorch's function of the op's name, if there is one."""
    if (op.name, None) in DIFFERENT:
        return None
    return getattr(torch, op.name, None) or getattr(torch.nn.functional, op.name, None)


def theirs(torch: Any, drawn: Sample, function: Any) -> tuple | None:
    """PyTorch's results for the same numbers; None where it takes no such arguments."""

    def tensor(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        if value.dtype.name == "bfloat16":
            return torch.tensor(value.astype(np.float32)).to(torch.bfloat16)
        return torch.tensor(value)

    try:
        found = function(*map(tensor, drawn.arrays), **drawn.params)
    except (TypeError, RuntimeError, IndexError, ValueError):
        return None
    return tuple(found) if isinstance(found, (tuple, list)) else (found,)


def check_against(torch: Any, op: Op) -> int:
    """Compare every example that both take; gives how many there were."""
    function, compared = counterpart(torch, op), 0
    for drawn in samples_of(op) if function is not None else ():
        wanted = theirs(torch, drawn, function)
        if wanted is None or (op.name, drawn.dtype) in DIFFERENT:
            continue
        compared += 1
        for out, expected in zip(drawn.run(), wanted, strict=False):
            name = str(expected.dtype).removeprefix("torch.")
            if getattr(op.dtype_rule, "__name__", "") == "floating" and not expected.dtype.is_floating_point:
                continue
            assert out.dtype.name == name, f"{drawn}: {out.dtype}; PyTorch gives {name}"
            assert tuple(out.shape) == tuple(expected.shape), (
                f"{drawn}: {out.shape}; PyTorch {expected.shape}"
            )
            near = NEAR.get(name, 0.0)
            wide = np.complex128 if expected.is_complex() else np.float64
            numbers = expected.to(torch.complex128 if expected.is_complex() else torch.float64)
            numbers = numbers.resolve_conj().resolve_neg().numpy()
            equal = np.allclose(to_numpy(out).astype(wide), numbers, near, near, equal_nan=True)
            assert equal, f"{drawn}:\n{to_numpy(out)}\nPyTorch gives\n{numbers}"
    return compared


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's own
def test_values_and_dtypes_are_pytorchs(op, torch):
    check_against(torch, op)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_most_ops_are_compared(torch):
    compared = [name for name, op in OPS.items() if check_against(torch, op)]
    assert len(compared) > 90, compared
