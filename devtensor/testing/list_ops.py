"""Do a device's kernels over lists of tensors mean what the ops' bodies say?"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import devtensor.amp.unscaling
import devtensor.nn.utils.clip_grad
import devtensor.optim  # noqa: F401 - these declare list ops
from devtensor.backend import registry
from devtensor.core.device import resolve
from devtensor.core.dtype import DTYPES, float64
from devtensor.core.lists import LIST_OPS, ListOp
from devtensor.core.tensor import Tensor
from devtensor.functions.creation import tensor as make_tensor

FLOATS = "float16", "bfloat16", "float32", "float64"
NEAR = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 4e-6, "float64": 1e-6}
"""How far a kernel may be from the body in float64; a learning rate may have been through float32."""


class Drawn(NamedTuple):
    """A tensor of the dtype under test, or a number, which is a 0-d tensor of a dtype of its own."""

    values: np.ndarray
    own: str = ""

    def on(self, device: Any, dtype: Any) -> Any:
        """A fresh tensor on a device; `dtype` is for those that are no numbers."""
        made: Any = make_tensor(self.values, dtype=float64, device=resolve("cpu"))
        return made.to(device, DTYPES[self.own] if self.own else dtype)


def offered(device: str) -> list[ListOp]:
    """The list ops that a device type has kernels for."""
    kernels = getattr(registry.get(device), "list_kernels", {})
    return [op for name, op in LIST_OPS.items() if name in kernels]


def check_list_op(op: ListOp, device: str) -> int:
    """Run an op's examples by the device's kernel and compare with the body on the CPU in float64.

    Gives the number of dtypes that the kernel takes; float32 must be one of them.

    Errors: AssertionError naming the op, the dtype and the argument.
    """
    place, taken = resolve(device), 0
    for name in FLOATS:
        if name in place.backend.dtypes:
            served = [_check(op, example, place, name) for example in drawn(op, name)]
            assert all(served) or (name != "float32" and not any(served)), (
                f"[{op.name}] {name}: the kernel takes {sum(served)} of {len(served)} examples"
            )
            taken += all(served)
    return taken


def drawn(op: ListOp, dtype: str) -> Iterator[tuple]:
    """The op's examples as arrays, with the same numbers each time, which the dtype can hold."""
    rng = np.random.default_rng(zlib.crc32(op.name.encode()))

    def tensor(*shape: int, positive: bool = False) -> Drawn:
        values = make_tensor(rng.normal(size=shape), dtype=DTYPES[dtype])
        held = _values(values)
        return Drawn(np.abs(held) + 1 if positive else held)

    def number(value: float, own: str = "float32") -> Drawn:
        return Drawn(np.array(value), own)

    yield from op.make_examples(tensor, number)


def placed(example: tuple, device: Any, dtype: Any) -> list[Any]:
    """An example's arguments as tensors."""
    return [
        [each.on(device, dtype) for each in value]
        if isinstance(value, list)
        else value.on(device, dtype)
        if isinstance(value, Drawn)
        else value
        for value in example
    ]


def _check(op: ListOp, example: tuple, device: Any, dtype: str) -> bool:
    """Compare kernel and body on one example; whether the kernel took it."""
    given = placed(example, device, DTYPES[dtype])
    wanted = placed(example, resolve("cpu"), float64)
    before = [(_values(t), t._version) for _, t in tensors_of(op, given)]
    made = op.by_kernel(*given)
    if made is NotImplemented:
        return False
    expected = op.body(*wanted)
    written = {id(t) for t in op.written(given)}
    skipped = op.skip and _is_set(dict(zip(op.arguments, given, strict=True))[op.skip])
    pairs = zip(tensors_of(op, given), tensors_of(op, wanted), before, strict=True)
    for (name, got), (_, right), (held, version) in pairs:
        what = f"[{op.name}] {dtype}: `{name}` of {_told(op, example)}"
        changes = id(got) in written
        assert got._version == version + changes, f"{what}: its version went from {version} to {got._version}"
        if changes and not skipped:
            _compare(got, right, dtype, what)
        else:
            assert _values(got).tobytes() == held.tobytes(), f"{what}: it was changed"
    if expected is not None:
        _compare(made, expected, dtype, f"[{op.name}] {dtype}: the result of {_told(op, example)}")
    return True


def tensors_of(op: ListOp, values: list[Any]) -> Iterator[tuple[str, Tensor]]:
    """All tensors among an op's arguments, with the arguments' names."""
    for name, value in zip(op.arguments, values, strict=True):
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Tensor):
                yield name, each


def _compare(got: Any, wanted: Any, dtype: str, what: str) -> None:
    np.testing.assert_allclose(_values(got), _values(wanted), NEAR[dtype], NEAR[dtype], err_msg=what)


def _values(tensor: Any) -> np.ndarray:
    return np.array(tensor.detach().to("cpu", float64).numpy())


def _is_set(number: Any) -> bool:
    return isinstance(number, Tensor) and bool(_values(number))


def _told(op: ListOp, example: tuple) -> str:
    """The arguments that are no lists."""
    rest = zip(op.arguments, example, strict=True)
    return ", ".join(
        f"{name}={value.values if isinstance(value, Drawn) else value}"
        for name, value in rest
        if not isinstance(value, list)
    )
