"""What tensorboardX writes: tensors made arrays, and the kinds of records that it has no method for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devtensor.core.dtype import bfloat16
from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.tensor import Tensor

try:
    from tensorboardX import writer
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboardX.proto.tensor_pb2 import TensorProto  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboardX.summary import hparams
    from tensorboardX.summary import scalar as simple_scalar
except ImportError as error:
    raise ImportError(
        f"[utils.tensorboard] {error}; logs are written by tensorboardX: pip install devtensor[tensorboard]"
    ) from error

__all__ = ["FileWriter", "Writer", "converted", "hyperparameters", "number", "scalar", "tensor_record"]

FileWriter: Any = writer.FileWriter
Writer: Any = writer.SummaryWriter
# TensorFlow's names, in whose terms records say what they hold.
DTYPES = {
    "float32": "DT_FLOAT", "float64": "DT_DOUBLE", "float16": "DT_HALF", "int8": "DT_INT8",
    "int16": "DT_INT16", "int32": "DT_INT32", "int64": "DT_INT64", "uint8": "DT_UINT8", "bool": "DT_BOOL",
}  # fmt: skip


def converted(value: Any) -> Any:
    """Tensors as arrays, also within lists, tuples and dicts."""
    if isinstance(value, Tensor):
        plain = value.detach()
        return (plain.float() if plain.dtype is bfloat16 else plain).cpu().numpy()
    if isinstance(value, dict):
        return {key: converted(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(converted(item) for item in value)
    return value


def number(value: Any) -> Any:
    """A tensor or an array of one element as a Python number."""
    return value.item() if hasattr(value, "item") else value


def scalar(tag: str, value: Any, as_tensor: bool, double: bool) -> Any:
    """A number: in float32, or as a tensor of one element for the newer scalar dashboard."""
    value = float(number(value))
    if not (as_tensor or double):
        return simple_scalar(tag, value)
    held = (
        {"double_val": [value], "dtype": "DT_DOUBLE"}
        if double
        else {"float_val": [value], "dtype": "DT_FLOAT"}
    )
    record = Summary.Value(tag=tag, tensor=TensorProto(**held), metadata=_of_plugin("scalars"))
    return Summary(value=[record])


def _of_plugin(name: str, content: bytes = b"") -> Any:
    return SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=name, content=content))


def tensor_record(tag: str, tensor: Tensor) -> Any:
    """A tensor's dtype, shape and bytes.

    Errors: ArgumentError for a dtype that records have no name for.
    """
    kind = DTYPES.get(tensor.dtype.name)
    if kind is None:
        raise ArgumentError(f"[add_tensor] {tag} has unsupported tensor dtype {tensor.dtype}; convert it")
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in tensor.shape])
    held = TensorProto(dtype=kind, tensor_shape=shape, tensor_content=converted(tensor).tobytes())
    return Summary(value=[Summary.Value(tag=tag, tensor=held, metadata=_of_plugin("tensor"))])


def hyperparameters(given: dict, metrics: dict, domains: dict[str, Iterable] | None) -> tuple:
    """The records of an experiment, of its start and of its end; `domains` lists each one's values.

    Errors: ArgumentTypeError for what is no dict, ArgumentError for domains of unknown hyperparameters.
    """
    for name, value in (("hparam_dict", given), ("metric_dict", metrics), ("domains", domains or {})):
        if not isinstance(value, dict):
            raise ArgumentTypeError(
                f"[add_hparams] {name} should be a dictionary; got {type(value).__name__}"
            )
    plain = {key: number(value) for key, value in given.items()}
    experiment, start, end = hparams(plain, metrics)
    unknown = set(domains or ()) - set(given)
    if unknown:
        raise ArgumentError(f"[add_hparams] hparam_domain_discrete names {unknown}, not in hparam_dict")
    data = experiment.value[0].metadata.plugin_data
    content = HParamsPluginData.FromString(data.content)
    for info in content.experiment.hparam_infos:
        for value in (domains or {}).get(info.name, ()):
            place = info.domain_discrete.values.add()
            _set(place, value)
    data.content = content.SerializeToString()
    return experiment, start, end


def _set(place: Any, value: Any) -> None:
    kind = {bool: "bool_value", str: "string_value"}.get(type(value), "number_value")
    setattr(place, kind, value)
