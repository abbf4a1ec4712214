"""What is computed in float32 for half tensors, and rounded once: with numbers beside them, by bodies."""

from __future__ import annotations

from typing import Any

from devtensor.core import tape
from devtensor.core.device import Device, Kind
from devtensor.core.dtype import DType
from devtensor.core.holding import HALVES
from devtensor.core.op import OPS, Op
from devtensor.core.tensor import Tensor, share

# Ops that keep an operand without dimensions as it is, where others round it to the half type: its place.
SCALES = dict.fromkeys(("mul", "div", "div_floor", "div_trunc", "floor_divide"), 1) | {
    "addcmul": 3, "addcdiv": 3,
}  # fmt: skip


def wide_places(op: Op, device: Device, basis: DType, inputs: tuple) -> tuple[int, ...]:
    """The places of the inputs that an op on tensors of `basis` takes in float32.

    They are Python numbers, and tensors without dimensions beside one that has some, where the backend's
    kernel takes such.
    """
    if basis.name not in HALVES:
        return ()
    places = getattr(device.backend, "wide_numbers", {}).get(op.name, ())
    # Where no tensor has dimensions a float32 would widen the result.
    weaker = any([isinstance(value, Tensor) and value.array.ndim for value in inputs])
    return tuple([place for place in places if _stays_wide(op, place, inputs[place], basis, weaker)])


def _stays_wide(op: Op, place: int, value: Any, basis: DType, weaker: bool) -> bool:
    if not isinstance(value, Tensor):
        return value is not None
    other = value.kind.dtype is not basis
    return weaker and other and value.array.ndim == 0 and SCALES.get(op.name) == place


def half_of_body(op: Op, inputs: tuple) -> Kind | None:
    """The kind of half tensors on whose float32 numbers the backend wants the body of an op to run."""
    for value in inputs:
        if isinstance(value, Tensor) and value.kind.dtype.name in HALVES:
            kind = value.kind
            return kind if op.name in getattr(kind.device.backend, "wide_bodies", ()) else None
    return None


def told_apart(inputs: tuple, places: tuple[int, ...]) -> tuple:
    """The inputs for the tape: a gradient of the half type is brought to the dtype of what stayed in its
    own."""
    made = list(inputs)
    for place in places:
        value = inputs[place]
        if value._requires_grad:
            made[place] = share(value)
            tape.record(OPS["cast"], (value,), (value.kind.dtype,), made[place])
    return tuple(made)
