"""What is true of every op on every device: the checks that the suite and the conformance command share.

Each takes an op and a device and raises AssertionError with the example that showed the fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np

from devtensor.core.device import Device, resolve
from devtensor.core.dispatch import cast_inputs
from devtensor.core.dtype import DTYPES
from devtensor.core.errors import DeviceError, DevtensorError, DTypeError
from devtensor.core.explain import specs_of
from devtensor.core.op import Op
from devtensor.core.plan import key_of, make_plan
from devtensor.core.rules import as_tuple
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor, storage_of, strides_of, wrap
from devtensor.graph.meta import standing_for
from devtensor.testing.cases import (
    Sample,
    accepts,
    as_results,
    cases_of,
    dtypes_of,
    expected_dtypes,
    heard,
    is_free,
    named_dtypes,
    sample,
    samples_of,
    to_numpy,
    to_tensor,
)
from devtensor.testing.nearness import assert_near


def marked(op: Op, name: str) -> bool:
    """Whether a parameter of the op has this marker."""
    return any(op.markers[p].name == name for p in op.parameters if p in op.markers)


def is_tight(op: Op, device: Any) -> bool:
    """Whether a kernel there gives the op's results, right to as many roundings as it says."""
    return op.tight and (op.body is None or op.name in resolve(device).backend.kernels)


def rounding_steps(op: Op, drawn: Sample, tight: bool) -> float:
    """How many rounding errors the result may have: few for one number, more where many are summed."""
    if tight and op.shape_rule.__name__ == "broadcast":
        return op.rounding
    summed = max((a.size for a in drawn.arrays if isinstance(a, np.ndarray)), default=1)
    return (8 if tight else max(24, op.rounding)) + summed / 2


def scale_of(expected: np.ndarray, drawn: Sample, op: Op, tight: bool) -> float:
    """The size of what was added up, where results can cancel."""
    if tight and op.shape_rule.__name__ == "broadcast":
        return 0.0
    sizes = [np.abs(a[np.isfinite(a)]).max(initial=0) for a in (expected, *drawn.arrays) if _is_float(a)]
    return float(max(sizes, default=0.0))


def _is_float(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind in "fc"


def check_results(drawn: Sample, results: tuple, expected: tuple, body: bool = False) -> None:
    """Raise AssertionError unless the results are near the expected arrays, as near as their dtypes allow.

    `body` says that one of the two comes from a composite's body, which rounds after each of its ops.
    """
    tight = not body and is_tight(drawn.op, drawn.device)
    assert len(results) == len(expected), f"{drawn}: {len(results)} results instead of {len(expected)}"
    for out, wanted in zip(results, expected, strict=True):
        wanted = np.asarray(wanted)
        steps, scale = rounding_steps(drawn.op, drawn, tight), scale_of(wanted, drawn, drawn.op, tight)
        assert_near(out, wanted, out.dtype, steps, scale, str(drawn))


def check_dtypes(op: Op, device: Any = "cpu") -> None:
    """The rule says the result's dtype, the kernel's array has it, and what the rule refuses is refused."""
    for drawn in samples_of(op, device):
        wanted = expected_dtypes(op, drawn.case, drawn.dtype)
        for out, dtype in zip(drawn.run(), wanted, strict=True):
            assert out.dtype is dtype, f"{drawn}: result is {out.dtype}; the rule says {dtype}"
            held = out.device.backend.dtype_of(out.array)
            assert held == dtype.name, f"{drawn}: the kernel gave {held} instead of {dtype.name}"
    for case in cases_of(op):
        for dtype in DTYPES if is_free(case) else ():
            if not accepts(op, case, dtype) and dtype in resolve(device).backend.dtypes:
                refuses(DTypeError, sample(op, case, dtype, device))


def refuses(error: type[DevtensorError], drawn: Sample, pattern: str = "") -> None:
    """The sample raises this error, whose text starts with the op's name and matches `pattern`."""
    try:
        drawn.run()
    except error as found:
        text = str(found)
        assert text.startswith(f"[{drawn.op.name}]"), (
            f"{drawn}: the message does not name the op first: {text}"
        )
        assert re.search(pattern, text, re.DOTALL), f"{drawn}: {text!r} does not match {pattern!r}"
        assert ";" in text or ":" in text, f"{drawn}: the message does not say what to do: {text}"
    else:
        raise AssertionError(f"{drawn}: nothing was raised; {error.__name__} was expected")


def check_shapes(op: Op, device: Any = "cpu") -> None:
    """The shape rule says the result's shape, and a view's strides; the meta device agrees with both."""
    for case in cases_of(op):
        dtype = preferred(dtypes_of(op, case, device))
        if dtype is None:
            continue
        drawn = sample(op, case, dtype, device)
        results, inputs, params = heard(drawn)
        if not op.data_dependent:
            check_rule(drawn, results, op.shape_rule(op.name, specs_of(inputs), params))
            if not (marked(op, "Place") and inputs):
                check_meta(drawn, results)


def preferred(dtypes: list[str]) -> str | None:
    """The dtype to try a case in when one is enough; None if the device holds none of what it needs."""
    return next((d for d in ("float32", "float64", "int64", *dtypes) if d in dtypes), None)


def check_rule(drawn: Sample, results: tuple, said: Any) -> None:
    """Results are as the rule said."""
    shapes = [said[0]] if drawn.op.view else as_tuple(said)
    found = [tuple(out.shape) for out in results]
    assert found == [tuple(s) for s in shapes], f"{drawn}: shapes {found}; the rule says {list(shapes)}"
    if drawn.op.view:
        strides = telling(results[0].shape, strides_of(results[0]))
        assert strides == telling(*said), (
            f"{drawn}: strides {strides_of(results[0])}; the rule says {said[1]}"
        )


def telling(shape: Any, strides: Any) -> list:
    """The strides that say something: those of dims with more than one element."""
    return [s for n, s in zip(shape, strides, strict=True) if n > 1] if 0 not in shape else []


def check_meta(drawn: Sample, results: tuple) -> None:
    """Meta gives the same shapes and dtypes; what stands for the device in a trace, the same strides too."""
    for place in (resolve("meta"), *(() if marked(drawn.op, "Place") else (standing_for(drawn.device),))):
        without = sample(drawn.op, drawn.case, drawn.dtype, place)
        for out, meta in zip(results, without.run(), strict=True):
            assert meta.device.type == place.type, f"{drawn}: the result left {place}"
            same = out.shape == meta.shape and out.dtype is meta.dtype
            assert same, f"{drawn}: {tuple(out.shape)} {out.dtype}; on meta {tuple(meta.shape)} {meta.dtype}"
            if place.type != "meta":
                strides = telling(out.shape, strides_of(out)), telling(meta.shape, strides_of(meta))
                assert strides[0] == strides[1], f"{drawn}: strides {strides[0]}; in a trace {strides[1]}"


def check_contract(op: Op, device: Any = "cpu") -> None:
    """Inputs are left as they were; results are fresh, views are their input's; nothing visits the host."""
    for drawn in samples_of(op, device, ("float32",)):
        tensors = [t for t in drawn.inputs if isinstance(t, Tensor)]
        before = [to_numpy(t).tobytes() for t in tensors]
        with contained(drawn.device, marked(op, "Place")):
            results = drawn.run()
        for tensor, content in zip(tensors, before, strict=True):
            assert to_numpy(tensor).tobytes() == content, f"{drawn}: an input was changed"
        for place, out in enumerate(results):
            check_memory(drawn, out, [*tensors, *results[:place]])


def check_memory(drawn: Sample, out: Tensor, others: list[Tensor]) -> None:
    """Writing into the others changes `out` if it is a view of them, and only then."""
    before = to_numpy(out).tobytes()
    tracked = any(storage_of(out) is storage_of(other) for other in others)
    kept = [(other, to_numpy(_whole(other))) for other in others if other.device is out.device]
    for other, numbers in kept:
        _write(_whole(other), 1 - numbers if numbers.dtype != bool else ~numbers)
    changed = to_numpy(out).tobytes() != before
    for other, numbers in kept:
        _write(_whole(other), numbers)
    if drawn.op.view:
        assert tracked, f"{drawn}: a view does not share its input's storage"
        assert changed or not before, f"{drawn}: a view does not share its input's memory"
    elif not tracked or drawn.op.body is None:
        assert not changed, (
            f"{drawn}: the result shares memory with an input or another result; it must be fresh"
        )


def _whole(tensor: Tensor) -> Tensor:
    return wrap(storage_of(tensor).root, tensor.kind)


def _write(whole: Tensor, numbers: np.ndarray) -> None:
    source = to_tensor(numbers.astype(to_numpy(whole).dtype), whole.device)
    whole.device.kernel("write", whole.dtype)(whole.array, source.array)  # type: ignore[misc]


@contextmanager
def contained(device: Device, may_move: bool = False) -> Iterator[None]:
    """Within it, bytes that leave the device or come to it are an error."""
    with ExitStack() as stack:
        for name in () if may_move else ("download", "upload"):
            refusal = mock.Mock(side_effect=AssertionError(f"a silent {name} between {device} and the host"))
            stack.enter_context(mock.patch.object(device.backend, name, refusal))
        yield


def check_parity(op: Op, device: Any) -> None:
    """The device gives what the CPU gives on the same numbers; there a composite's kernel gives what its body
    does."""
    for drawn in samples_of(op, device):
        results, inputs, params = heard(drawn)
        if drawn.device.type != "cpu":
            reference = sample(op, drawn.case, drawn.dtype, "cpu").run()
            check_results(drawn, results, tuple(map(_widened, reference)))
        elif op.body is not None and drawn.device.backend.kernels.get(op.name) is not None:
            check_results(drawn, results, tuple(map(_widened, by_body(op, inputs, params))), body=True)


def _widened(tensor: Tensor) -> np.ndarray:
    numbers = to_numpy(tensor)
    return numbers.astype(np.float64) if tensor.dtype.is_floating_point else numbers


def by_body(op: Op, inputs: tuple, params: tuple) -> tuple:
    """A composite's results by its body, inputs cast as dispatch would."""
    plan = make_plan(op, key_of(op, inputs, params), inputs, params)
    with no_grad():
        return as_results(op.body(*cast_inputs(plan.casts or (None,) * len(inputs), inputs), *params))  # type: ignore[misc]


def check_errors(op: Op, device: Any = "cpu") -> None:
    """Failing examples fail as they say; what is no tensor, or lies on another device, is refused by name."""
    for case in cases_of(op, failing=True):
        held = resolve(device).backend.dtypes
        dtype = next(
            (d for d in ("float32", "int64", "bool") if d in held and accepts(op, case, d)), "float32"
        )
        if named_dtypes(op, case) - held:
            continue
        try:
            sample(op, case, dtype, device).run()
        except DevtensorError as error:
            text = str(error)
            assert re.search(case.error or "", text, re.DOTALL), f"[{op.name}] {case}: {text!r}"
            assert text.startswith(("[device]", f"[{op.name}]")), (
                f"[{op.name}] {case}: another op is named: {text!r}"
            )
        else:
            raise AssertionError(f"[{op.name}] {case}: nothing was raised")
    for drawn in list(samples_of(op, device, ("float32", "int64")))[:1]:
        for place, value in enumerate(drawn.inputs):
            if isinstance(value, Tensor):
                refuse_stranger(drawn, place)


def refuse_stranger(drawn: Sample, place: int) -> None:
    """Text in the place of a tensor is an error of the op's, not one of the library beneath."""
    inputs = [*drawn.inputs[:place], "text", *drawn.inputs[place + 1 :]]
    refuses(DevtensorError, drawn._replace(inputs=tuple(inputs)))


def check_mixed_devices(op: Op, device: Any, other: Any) -> None:
    """Tensors of two devices do not meet: DeviceError names both."""
    for drawn in samples_of(op, device, ("float32", "int64")):
        away = sample(op, drawn.case, drawn.dtype, other)
        places = [p for p, t in enumerate(drawn.inputs) if isinstance(t, Tensor) and t.ndim]
        if len(places) < 2:
            continue
        inputs = list(drawn.inputs)
        inputs[places[-1]] = away.inputs[places[-1]]
        if not drawn.op.takes_part(places[-1]) and resolve(other).type == "cpu":
            continue
        refuses(DeviceError, drawn._replace(inputs=tuple(inputs)), re.escape(str(resolve(other))))
        return
