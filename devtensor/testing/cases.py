"""From examples to tensors: what a declaration says about inputs, drawn with a seed on any device."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

import devtensor.methods  # noqa: F401 - declares every op, and gives tensors their operators
from devtensor.core.device import Device, resolve
from devtensor.core.dtype import DTYPES, DType, as_dtype
from devtensor.core.errors import DTypeError
from devtensor.core.host import host_read
from devtensor.core.op import Op
from devtensor.core.plan import check_numbers
from devtensor.core.rules import TENSOR, ZERO_DIM, Operand, literal_operand
from devtensor.core.state import Layer
from devtensor.core.tensor import Tensor, share, wrap
from devtensor.core.transfer import HostData
from devtensor.graph.meta import MetaArray, MetaBackend
from devtensor.ops import FAMILIES
from devtensor.ops.create import constant
from devtensor.ops.examples import Case, Draw, make
from devtensor.ops.shape import expand, getitem, permute

EXTENSIONS = ("bfloat16", "float8_e4m3fn", "float8_e5m2")


def cases_of(op: Op, failing: bool | None = False) -> list[Case]:
    """The op's examples: those that must work, those that must fail, or with None both."""
    found = [case for examples in op.cases for case in examples(make)]
    return found if failing is None else [case for case in found if (case.error is not None) is failing]


def entry_of(op: Op) -> Callable:
    """What users call for this op."""
    for family in FAMILIES:
        for value in vars(family).values():
            if getattr(value, "op", None) is op:
                return value
    raise LookupError(f"[{op.name}] its module is not listed in devtensor.ops.FAMILIES")


def numpy_dtype(name: str) -> np.dtype:
    """NumPy's dtype of devtensor's name."""
    return np.dtype(getattr(ml_dtypes, name) if name in EXTENSIONS else name)


def strict_params(op: Op, case: Case) -> tuple:
    """The case's parameters in declared order, dtypes as DTypes: what a dtype rule looks at."""
    values = {**op.defaults, **case.params}
    typed = {name for name, marker in op.markers.items() if marker.name == "Type"}
    return tuple(as_dtype(values[name]) if name in typed else values.get(name) for name in op.parameters)


def operands_of(op: Op, case: Case, dtype: str) -> list[Operand]:
    """What a dtype rule sees of the case when free inputs are drawn as `dtype`."""
    found = []
    for place, value in enumerate(case.inputs):
        if value is None or not op.takes_part(place):
            continue
        if isinstance(value, Draw):
            found.append(Operand(DTYPES[value.dtype or dtype], TENSOR if value.shape else ZERO_DIM))
        else:
            found.append(literal_operand(type(value)))
    return found


def expected_dtypes(op: Op, case: Case, dtype: str) -> tuple[DType, ...]:
    """What the op's rules say of the results.

    Errors: DTypeError if they refuse such inputs.
    """
    rules = op.dtype_rule if isinstance(op.dtype_rule, tuple) else (op.dtype_rule,)
    operands, params = operands_of(op, case, dtype), strict_params(op, case)
    check_numbers(op, operands)
    return tuple(rule(op.name, operands, params).out for rule in rules)


def is_free(case: Case) -> bool:
    """Whether some input may be drawn in any dtype."""
    return any(isinstance(value, Draw) and value.dtype is None for value in case.inputs)


def dtypes_of(op: Op, case: Case, device: str | Device = "cpu") -> list[str]:
    """The dtypes in which the case can be drawn: those the device holds and the op's own rule accepts."""
    held = resolve(device).backend.dtypes
    if not named_dtypes(op, case) <= held:
        return []
    if not is_free(case):
        return ["float32"] if given(op, case, "float32") <= held else []
    return [
        name for name in DTYPES if name in held and accepts(op, case, name) and given(op, case, name) <= held
    ]


def given(op: Op, case: Case, dtype: str) -> set[str]:
    """The dtypes of the results when the case is drawn as `dtype`."""
    return {result.name for result in expected_dtypes(op, case, dtype)}


def named_dtypes(op: Op, case: Case) -> set[str]:
    """The dtypes that the case itself names, for inputs or as parameters."""
    named = {value.dtype for value in case.inputs if isinstance(value, Draw) and value.dtype}
    return named | {value.name for value in strict_params(op, case) if isinstance(value, DType)}


def accepts(op: Op, case: Case, dtype: str) -> bool:
    """Whether the op's dtype rule takes the case drawn as `dtype`."""
    try:
        expected_dtypes(op, case, dtype)
    except DTypeError:
        return False
    return True


def draw_numbers(draw: Draw, dtype: str, rng: np.random.Generator) -> np.ndarray:
    """Numbers as the Draw asks for them, in NumPy."""
    dtype = draw.dtype or dtype
    shape = (1, *draw.shape[1:]) if draw.layout == "expanded" and draw.shape else draw.shape
    if dtype == "bool":
        values = rng.integers(0, 2, shape).astype(bool) | (draw.apart > 0)
    elif DTYPES[dtype].is_complex:
        values = _floats(draw, shape, rng) + 1j * _floats(draw, shape, rng)
    elif DTYPES[dtype].is_floating_point:
        values = _floats(draw, shape, rng)
    else:
        values = _integers(draw, shape, dtype, rng)
    return np.array(np.broadcast_to(values, draw.shape)).astype(numpy_dtype(dtype))


def _floats(draw: Draw, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    count = math.prod(shape)
    if draw.distinct:
        # Off the middle of their intervals, so that no two are each other's negative.
        places = (rng.permutation(count) + 0.37) / max(count, 1)
        values = (draw.low + places * (draw.high - draw.low)).reshape(shape)
    else:
        values = rng.uniform(draw.low, draw.high, shape)
    if draw.apart and draw.low < 0 < draw.high:
        sign = np.where(values < 0, -1.0, 1.0)
        reach = np.where(values < 0, -draw.low, draw.high)
        values = sign * (draw.apart + np.abs(values) * (1 - draw.apart / reach))
    return values


def _integers(draw: Draw, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
    low = max(math.ceil(draw.low), 0) if dtype.startswith("uint") else math.ceil(draw.low)
    high = max(math.ceil(draw.high), low + 1)
    if draw.distinct:
        count = math.prod(shape)
        return rng.permutation(np.arange(low, low + count)).reshape(shape)
    values = rng.integers(low, high, shape)
    return np.where(values == 0, 1, values) if draw.apart else values


def to_tensor(array: np.ndarray, device: str | Device = "cpu", layout: str = "contiguous") -> Tensor:
    """A tensor with the array's numbers that lies in memory as `layout` says."""
    if layout == "transposed" and array.ndim > 1:
        return share(permute(_upload(array.T, device), tuple(reversed(range(array.ndim)))))
    if layout == "expanded" and array.ndim:
        return share(expand(_upload(array[:1], device), array.shape))
    if layout == "sliced" and array.ndim:
        held = np.full([2 * size + 1 for size in array.shape], 1, array.dtype)
        within = tuple(slice(1, 2 * size + 1, 2) for size in array.shape)
        held[within] = array
        return share(getitem(_upload(held, device), within))
    return _upload(array, device)


def _upload(array: np.ndarray, device: str | Device) -> Tensor:
    place = device if isinstance(device, Device) else resolve(device)
    if isinstance(place.backend, MetaBackend):
        return wrap(MetaArray(array.shape), place.kind(DTYPES[array.dtype.name]))
    return constant(
        HostData(np.ascontiguousarray(array).tobytes(), array.shape), DTYPES[array.dtype.name], place
    )


def to_numpy(tensor: Tensor) -> np.ndarray:
    """The tensor's numbers in NumPy, wherever it lives."""
    copy = host_read(tensor, "to_numpy")
    return np.frombuffer(bytes(copy.data), numpy_dtype(copy.dtype.name)).reshape(copy.shape)


class Sample(NamedTuple):
    """One case drawn: `arrays` are NumPy's, `inputs` the tensors; numbers and None stand in both."""

    op: Op
    case: Case
    dtype: str
    device: Device
    inputs: tuple
    arrays: tuple
    params: dict[str, Any]

    def run(self, *inputs: Any) -> tuple:
        """The op's results as a tuple, for these inputs or those drawn."""
        return as_results(entry_of(self.op)(*(inputs or self.inputs), **self.params))

    def __str__(self) -> str:
        given = ", ".join(
            f"{tuple(a.shape)} {a.dtype}" if isinstance(a, np.ndarray) else repr(a) for a in self.arrays
        )
        layouts = {d.layout for d in self.case.inputs if isinstance(d, Draw)} - {"contiguous"}
        named = ", ".join(f"{name}={value!r}" for name, value in self.case.params.items())
        return f"[{self.op.name}] ({given}) {named} {' '.join(sorted(layouts))} on {self.device}".replace(
            "  ", " "
        )


def as_results(value: Any) -> tuple:
    """An op's result as a tuple of tensors."""
    return tuple(value) if isinstance(value, tuple) else (value,)


def sample(op: Op, case: Case, dtype: str = "float32", device: str | Device = "cpu", seed: int = 0) -> Sample:
    """Draw a case: the same seed gives the same numbers on every device."""
    device = device if isinstance(device, Device) else resolve(device)
    rng = np.random.default_rng([seed, zlib.crc32(f"{op.name}{case}".encode())])
    arrays, inputs = [], []
    for value in case.inputs:
        if not isinstance(value, Draw):
            arrays.append(value)
            inputs.append(value)
            continue
        array = draw_numbers(value, dtype, rng)
        arrays.append(array)
        inputs.append(to_tensor(array, device, value.layout))
    params = dict(case.params)
    for name in op.parameters:
        marker = op.markers.get(name)
        if marker is not None and marker.name == "Place" and name not in params:
            params[name] = device
    return Sample(op, case, dtype, device, tuple(inputs), tuple(arrays), params)


def samples_of(op: Op, device: str | Device = "cpu", dtypes: Any = None, seed: int = 0) -> Iterator[Sample]:
    """Every working example of the op in every dtype it takes, or in those of `dtypes` it takes."""
    for case in cases_of(op):
        for dtype in dtypes_of(op, case, device):
            if dtypes is None or dtype in dtypes or not is_free(case):
                yield sample(op, case, dtype, device, seed)


class Heard(Layer):
    """Notes every op that goes by: (op, inputs, params) as dispatch gets them, the outermost first."""

    rank = 0

    def __init__(self) -> None:
        self.calls: list[tuple[Op, tuple, tuple]] = []

    def call(self, op: Op, inputs: tuple, params: tuple, below: Any) -> Any:
        self.calls.append((op, inputs, params))
        return below(op, inputs, params)


def heard(drawn: Sample) -> tuple[tuple, tuple, tuple]:
    """Run a sample; gives its results, and inputs and parameters as rules and kernels get them."""
    with Heard() as listener:
        results = drawn.run()
    _, inputs, params = next(call for call in listener.calls if call[0] is drawn.op)
    return results, inputs, params
