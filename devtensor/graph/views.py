"""What a view op makes of a value: its shape and its dtype, by the op's own rules."""

from __future__ import annotations

from devtensor.core.device import Kind
from devtensor.core.dtype import DTYPES, DType
from devtensor.core.op import OPS
from devtensor.core.rules import TENSOR, Operand
from devtensor.core.spec import Spec, contiguous_strides
from devtensor.core.tensor import Tensor, storage_of
from devtensor.core.views import RETYPING


def view_shape(name: str, shape: tuple[int, ...], params: tuple) -> tuple[int, ...]:
    """The shape that a view op gives; whether memory allows it is settled where the graph runs."""
    if name == "reshape":
        return tuple(params[0])
    spec = Spec(shape, None, None, contiguous_strides(shape))  # type: ignore[arg-type]
    return tuple(OPS[name].shape_rule(name, [spec], params)[0])


def view_dtype(name: str, dtype: DType, params: tuple) -> DType:
    """The dtype that a view op gives: of few, such as the parts of complex numbers, another."""
    return OPS[name].dtype_rule(name, [Operand(dtype, TENSOR)], params).out  # type: ignore[operator, no-any-return]


def root_kind(tensor: Tensor) -> Kind:
    """The Kind of the whole memory that a tensor sees."""
    device = tensor.kind.device
    if not any(name in RETYPING for name, _ in tensor.alias.chain):
        return tensor.kind
    return device.kind(DTYPES[device.backend.dtype_of(storage_of(tensor).root)])
