"""From a list of samples to one batch: tensors are stacked, containers are merged field by field."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

from devtensor.core.errors import ArgumentTypeError, IndexingError, ShapeError
from devtensor.core.tensor import Tensor

Rule = Callable[..., Any]

# Collating functions written for PyTorch look at these two: the dtypes that hold no numbers, and what to say.
np_str_obj_array_pattern = re.compile(r"[SaUO]")
default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def default_collate(batch: Sequence[Any]) -> Any:
    """Merge samples into a batch.

    Tensors and NumPy arrays are stacked along a new first dimension; numbers become a tensor (Python floats
    float64); strings and bytes are left as they are; mappings, tuples and other sequences are merged field by
    field, tuples into lists.

    Errors: ArgumentTypeError for other types; ShapeError if sequences differ in length.
    Example: `default_collate([(1, "a"), (2, "b")])` gives `[tensor([1, 2]), ("a", "b")]`
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch: Sequence[Any], *, collate_fn_map: Mapping[Any, Rule] | None = None) -> Any:
    """Merge samples by a table from type (or tuple of types) to `rule(batch, *, collate_fn_map)`.

    Containers without a rule of their own are merged field by field.
    """
    if len(batch) == 0:
        raise IndexingError("[default_collate] got an empty batch; at least one sample is needed")
    first = batch[0]
    rule = _rule_for(first, collate_fn_map or {})
    if rule is not None:
        return rule(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        columns = {key: [sample[key] for sample in batch] for key in first}
        return like_mapping(
            first, {key: collate(column, collate_fn_map=collate_fn_map) for key, column in columns.items()}
        )
    if isinstance(first, Sequence):
        lengths = {len(item) for item in batch}
        if len(lengths) > 1:
            raise ShapeError(
                f"[default_collate] got sequences of lengths {sorted(lengths)} in one batch; "
                "each element in list of batch should be of equal size, or the loader needs a collate_fn"
            )
        fields = zip(*batch, strict=True)
        return like_sequence(first, [collate(field, collate_fn_map=collate_fn_map) for field in fields])
    raise _unknown(type(first))


def default_convert(data: Any) -> Any:
    """Turn NumPy arrays into tensors, inside containers too; leave the rest as it is."""
    return map_leaves(data, _as_tensor)


def map_leaves(data: Any, change: Callable[[Any], Any]) -> Any:
    """Apply `change` to what is no container, and rebuild the containers around the results."""
    if isinstance(data, Mapping):
        return like_mapping(data, {key: map_leaves(value, change) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return like_sequence(data, [map_leaves(value, change) for value in data])
    return change(data)


def like_mapping(model: Mapping, values: dict) -> Any:
    """Put `values` into a mapping of the type of `model`, or a dict where that type cannot be made."""
    try:
        if isinstance(model, MutableMapping):
            # A copy keeps what the type holds besides its items, such as a default factory.
            made = copy.copy(model)
            for key, value in values.items():
                made[key] = value
            return made
        return type(model)(values)  # type: ignore[call-arg]
    except TypeError:
        return values


def like_sequence(model: Sequence, values: list) -> Any:
    """Put `values` into a sequence of the type of `model`, or a list where that cannot be or is a tuple."""
    if isinstance(model, tuple):
        return type(model)(*values) if hasattr(model, "_fields") else values
    try:
        if isinstance(model, MutableSequence):
            made = copy.copy(model)
            for position, value in enumerate(values):
                made[position] = value
            return made
        return type(model)(values)  # type: ignore[call-arg]
    except TypeError:
        return values


def _rule_for(sample: Any, table: Mapping[Any, Rule]) -> Rule | None:
    if type(sample) in table:
        return table[type(sample)]
    for kinds, rule in table.items():
        if isinstance(sample, kinds):
            return rule
    return _numpy_rule(sample)


def _numpy_rule(sample: Any) -> Rule | None:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if isinstance(sample, numpy.ndarray):
        return collate_numpy_array_fn
    return collate_numpy_scalar_fn if isinstance(sample, (numpy.number, numpy.bool_)) else None


def collate_tensor_fn(batch: Sequence[Tensor], *, collate_fn_map: Any = None) -> Tensor:
    """Stack tensors along a new first dimension."""
    import devtensor

    return devtensor.stack(list(batch), 0)


def collate_numpy_array_fn(batch: Sequence[Any], *, collate_fn_map: Any = None) -> Tensor:
    """Stack arrays of numbers as tensors."""
    import devtensor

    if _holds_no_numbers(batch[0]):
        raise _unknown(batch[0].dtype)
    return collate([devtensor.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Sequence[Any], *, collate_fn_map: Any = None) -> Tensor:
    """Put NumPy's numbers in a tensor of their dtype."""
    import devtensor

    return devtensor.as_tensor(sys.modules["numpy"].asarray(batch))


def collate_int_fn(batch: Sequence[Any], *, collate_fn_map: Any = None) -> Tensor:
    """Put numbers in a tensor of the dtype that they ask for."""
    import devtensor

    return devtensor.tensor(list(batch))


def collate_float_fn(batch: Sequence[float], *, collate_fn_map: Any = None) -> Tensor:
    """Put Python floats in a float64 tensor."""
    import devtensor

    return devtensor.tensor(list(batch), dtype=devtensor.float64)


def collate_str_fn(batch: Sequence[Any], *, collate_fn_map: Any = None) -> Any:
    """Leave what is no number as it is."""
    return batch


def _as_tensor(value: Any) -> Any:
    import devtensor

    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, (numpy.ndarray, numpy.number, numpy.bool_)):
        return value
    return value if _holds_no_numbers(value) else devtensor.as_tensor(numpy.asarray(value))


def _holds_no_numbers(array: Any) -> bool:
    """Whether a NumPy array holds strings, bytes or Python objects."""
    return np_str_obj_array_pattern.search(array.dtype.str) is not None


def _unknown(kind: Any) -> ArgumentTypeError:
    return ArgumentTypeError(
        f"[default_collate] {default_collate_err_msg_format.format(kind)}; or the loader needs a collate_fn"
    )


default_collate_fn_map: dict[Any, Rule] = {
    Tensor: collate_tensor_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}
