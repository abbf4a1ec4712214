"""`op_` against `op`: the same numbers, in the same memory, one version later, with the same derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from devtensor.autograd.engine import grad
from devtensor.core.errors import AutogradError, DevtensorError, DTypeError, ShapeError
from devtensor.core.op import OPS, Op
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.methods import inplace_form
from devtensor.ops.shape import getitem
from devtensor.testing.cases import Sample, expected_dtypes, sample, samples_of, to_numpy, to_tensor
from devtensor.testing.gradients import lacks_formula


def inplace(drawn: Sample, target: Tensor, others: tuple) -> Tensor:
    """Call the op's strict form `op_`."""
    return inplace_form(drawn.op)(target, *others, **drawn.params)


def fits(drawn: Sample) -> bool:
    """Whether the result can stand where the first input stood."""
    target = drawn.inputs[0]
    if not isinstance(target, Tensor) or drawn.case.inputs[0].layout == "expanded":
        return False
    (dtype,) = expected_dtypes(drawn.op, drawn.case, drawn.dtype)
    return dtype.category <= target.dtype.category and drawn.run()[0].shape == target.shape


def check_inplace(op: Op, device: str = "cpu") -> None:
    assert callable(getattr(Tensor, f"{op.name}_", None)), f"[{op.name}] tensors have no method {op.name}_"
    for drawn in samples_of(op, device, ("float32", "float64", "int64", "bool")):
        if fits(drawn):
            check_views(drawn)
            if drawn.dtype == "float64" and op.differentiable and not lacks_formula(op, 0):
                check_derivatives(sample(op, drawn.case, drawn.dtype, device))
            check_numbers(drawn)
        elif isinstance(drawn.inputs[0], Tensor):
            check_refusal(drawn)


def check_numbers(drawn: Sample) -> None:
    target, *others = drawn.inputs
    (wanted,) = drawn.run()
    before, array = target._version, target.array
    result = inplace(drawn, target, tuple(others))
    assert result is target and target.array is array, f"{drawn}: the result is another tensor"
    assert target._version == before + 1, f"{drawn}: version {before} became {target._version}"
    numbers = to_numpy(wanted).astype(to_numpy(target).dtype)
    assert np.array_equal(to_numpy(target), numbers, equal_nan=numbers.dtype.kind == "f"), (
        f"{drawn}: op_ is not op"
    )


def check_views(drawn: Sample) -> None:
    """Written through a view, the base holds the result there and its own numbers elsewhere."""
    array = drawn.arrays[0]
    frame = np.full([size + 2 for size in array.shape], 1, array.dtype)
    inner = tuple(slice(1, size + 1) for size in array.shape)
    frame[inner] = array
    base = to_tensor(frame, drawn.device)
    view = getitem(base, inner)
    (wanted,) = drawn.run(view, *drawn.inputs[1:])
    expected = frame.copy()
    expected[inner] = to_numpy(wanted).astype(array.dtype)
    inplace(drawn, view, drawn.inputs[1:])
    assert base._version == view._version == 1, f"{drawn}: base and view differ in version"
    equal = np.array_equal(to_numpy(base), expected, equal_nan=expected.dtype.kind == "f")
    assert equal, f"{drawn}: written through a view, the base holds other numbers"


def check_derivatives(drawn: Sample) -> None:
    """Gradients of op_ on a copy are those of op; a leaf that requires grad is refused."""
    leaves = [t for t in drawn.inputs if isinstance(t, Tensor) and t.dtype.is_floating_point]
    for leaf in leaves:
        leaf.requires_grad = True
    target, *others = drawn.inputs
    wanted = drawn.run()[0]
    weight = to_tensor(np.random.default_rng(0).normal(size=wanted.shape), drawn.device)
    expected = grad(wanted, leaves, weight, allow_unused=True)
    found = grad(inplace(drawn, target.clone(), tuple(others)), leaves, weight, allow_unused=True)
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None), f"{drawn}: in place, another input has no gradient"
        assert a is None or np.allclose(to_numpy(a), to_numpy(b), 1e-12, 1e-12), (
            f"{drawn}: in place, derivative differs"
        )
    with pytest.raises(AutogradError, match=rf"\[{drawn.op.name}_\].*leaf"):
        inplace(drawn, target, tuple(others))
    with no_grad():
        inplace(drawn, target, tuple(others))
    assert target.requires_grad and target.is_leaf


def check_refusal(drawn: Sample) -> None:
    """A result that does not fit is refused, and the target keeps its numbers."""
    target, *others = drawn.inputs
    before = to_numpy(target).tobytes()
    try:
        inplace(drawn, target, tuple(others))
    except (DTypeError, ShapeError) as error:
        assert str(error).startswith(f"[{drawn.op.name}_]"), f"{drawn}: {error}"
    else:
        raise AssertionError(f"{drawn}: in place, the result does not fit, and is not refused")
    assert to_numpy(target).tobytes() == before, f"{drawn}: refused, but written"


def test_inplace(inplace_op, device):
    check_inplace(inplace_op, device)


def test_a_result_of_a_wider_category_is_refused(device):
    widening = [op for op in OPS.values() if op.inplace and op.dtype_rule.__name__ == "floating"]
    assert widening
    for op in widening:
        for drawn in samples_of(op, device, ("int64",)):
            with pytest.raises(DevtensorError, match=r"float32 can't be cast.*int64"):
                inplace(drawn, drawn.inputs[0], drawn.inputs[1:])
            break
