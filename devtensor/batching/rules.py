"""How an op on every example becomes one op on all of them: dims move up by one, as examples stand in front.

A rule takes the op, its inputs as tensors of the level below, which of them are batched, and the parameters,
and gives what the op gives, batched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from devtensor.core.dispatch import call
from devtensor.core.op import OPS, Op
from devtensor.core.tensor import Tensor, strides_of
from devtensor.core.wide_numbers import SCALES
from devtensor.ops.shape import as_shape

Values = tuple[Any, ...]
Flags = Sequence[bool]
Rule = Callable[[Op, Values, Flags, tuple], Any]


def run(name: str, *inputs: Any, **params: Any) -> Any:
    """An op by name, with parameters by name."""
    op = OPS[name]
    return call(op, inputs, tuple(params.get(p, op.defaults.get(p)) for p in op.parameters))


def count_of(values: Values, batched: Flags) -> int:
    """How many examples there are."""
    return next(v.array.shape[0] for v, flag in zip(values, batched, strict=True) if flag)


def with_dims(value: Tensor, ndim: int) -> Tensor:
    """Batched, with dims of 1 put between the examples and its own until an example has `ndim`."""
    missing = ndim + 1 - value.array.ndim
    return run("getitem", value, index=(slice(None), *(None,) * missing)) if missing > 0 else value


def with_one(value: Tensor, dim: int) -> Tensor:
    """With a dim of 1 put in at `dim`, which may count from the end."""
    return run("getitem", value, index=(*_all(dim % (value.array.ndim + 1)), None))


def without(value: Tensor, dim: int) -> Tensor:
    """The dim of 1 at `dim`, which may count from the end, left out."""
    return run("getitem", value, index=(*_all(dim % value.array.ndim), 0))


def _all(count: int) -> tuple:
    return (slice(None),) * count


def spread(values: Values, batched: Flags) -> list:
    """All inputs batched: what was not is repeated for every example."""
    count = count_of(values, batched)
    return [
        v if v is None or flag else run("expand", v, shape=(count, *v.array.shape))
        for v, flag in zip(values, batched, strict=True)
    ]


def one_by_one(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    """The examples one after the other, for ops that have no better way."""
    count = count_of(values, batched)
    results = []
    for k in range(max(count, 1)):
        given = tuple(
            v if not flag else _example(v, k, count) for v, flag in zip(values, batched, strict=True)
        )
        results.append(call(op, given, params))
    if isinstance(results[0], tuple):
        return tuple([_stacked(column, count) for column in zip(*results, strict=True)])
    return _stacked(results, count)


def _example(value: Tensor, k: int, count: int) -> Tensor:
    if count:
        return run("getitem", value, index=(k,))
    return run("full", shape=value.array.shape[1:], value=0, dtype=value.kind.dtype, device=value.kind.device)


def _stacked(rows: Sequence[Tensor], count: int) -> Tensor:
    made = run("cat", *[run("getitem", row, index=(None,)) for row in rows], dim=0)
    return made if count else run("getitem", made, index=(slice(0, 0),))


def elementwise(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    """Inputs that broadcast: their own dims meet from the right, as before."""
    values = _narrow(op, values, batched)
    ndim = max(v.array.ndim - flag for v, flag in zip(values, batched, strict=True) if v is not None)
    aligned = tuple(with_dims(v, ndim) if flag else v for v, flag in zip(values, batched, strict=True))
    return call(op, aligned, params)


def _narrow(op: Op, values: Values, batched: Flags) -> Values:
    """Numbers in float32 beside half tensors brought to the half type where each example has its own."""
    place, dtype = SCALES.get(op.name), values[0].kind.dtype
    if place is None or not batched[place] or values[place].kind.dtype is dtype:
        return values
    return (*values[:place], run("cast", values[place], dtype=dtype), *values[place + 1 :])


def as_it_is(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    """Ops of the last dims, whatever stands before them."""
    return call(op, values, params)


def by_dims(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    """Ops of one input whose dims are marked as such in the declaration."""
    value = values[0]
    if value.array.ndim > 1:
        return call(op, (value,), tuple(shifted(op, params)))
    # A number counts as having one dim, whichever is named.
    result = call(op, (with_dims(value, 1),), tuple(shifted(op, params, only=1)))
    return tuple(map(_flat, result)) if isinstance(result, tuple) else _flat(result)


def _flat(value: Tensor) -> Tensor:
    return as_shape(value, value.array.shape[:1])


def shifted(op: Op, params: tuple, only: int | None = None) -> list:
    """The parameters with the dims among them moved up by one, or all of them `only` this one."""
    made = []
    for name, value in zip(op.parameters, params, strict=True):
        marker = getattr(op.markers.get(name), "name", "")
        if marker == "Dim":
            value = value + 1 if only is None else only
        elif marker == "Dims":
            value = tuple([d + 1 for d in value]) if only is None else (only,)
        made.append(value)
    return made


def all_spread(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    """Ops of several inputs of equally many dims, by a marked dim: gather and its kin."""
    given = spread(values, batched)
    if any(v.array.ndim > 1 for v in given):
        return call(op, tuple(given), tuple(shifted(op, params)))
    return _flat(call(op, tuple(with_dims(v, 1) for v in given), tuple(shifted(op, params, only=1))))


def joined(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    """cat."""
    return call(op, tuple(spread(values, batched)), (params[0] + 1,))


def _reshape(value: Tensor, params: tuple) -> tuple:
    return ((value.array.shape[0], *params[0]),)


def _permute(value: Tensor, params: tuple) -> tuple:
    return ((0, *(d + 1 for d in params[0])),)


def _getitem(value: Tensor, params: tuple) -> tuple:
    return ((slice(None), *params[0]),)


def _pad(value: Tensor, params: tuple) -> tuple:
    return ((0, 0), *params[0]), *params[1:]


def _second_dims(value: Tensor, params: tuple) -> tuple:
    first, dims, *rest = params
    return first, tuple([d + 1 for d in dims]), *rest


def _first_dims(value: Tensor, params: tuple) -> tuple:
    return tuple([d + 1 for d in params[0]]), *params[1:]


def _fold(value: Tensor, params: tuple) -> tuple:
    size, dim, *rest = params
    return size, dim + 1, *rest


def _strided(value: Tensor, params: tuple) -> tuple:
    size, stride, offset, *_ = params
    own = strides_of(value)
    return (value.array.shape[0], *size), (own[0], *stride), offset, own


def _lay_out(value: Tensor, params: tuple) -> tuple:
    (strides,) = params
    shape = value.array.shape[1:]
    reach = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) if 0 not in shape else 1
    return ((reach, *strides),)


def _unchanged(value: Tensor, params: tuple) -> tuple:
    return params


# How the parameters of ops of one input change that are not told by markers.
PARAMETERS: dict[str, Callable[[Tensor, tuple], tuple]] = {
    "reshape": _reshape,
    "permute": _permute,
    "getitem": _getitem,
    "pad": _pad,
    "roll": _second_dims,
    "fft_c2c": _first_dims,
    "fft_r2c": _first_dims,
    "fft_c2r": _first_dims,
    "fold": _fold,
    "as_strided": _strided,
    "lay_out": _lay_out,
}


def by_parameters(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    """Ops of one input with their parameters rewritten."""
    return call(op, values, PARAMETERS[op.name](values[0], params))


def expand(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    (shape,) = params
    value = with_dims(values[0], len(shape))
    return call(op, (value,), ((value.array.shape[0], *shape),))


# View ops through which a write can be followed on the level below.
FOLLOWED = {"reshape", "permute", "getitem", "diagonal", "unfold", "real", "imag", "view_as_real"}


def overwrite(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    (chain,) = params
    if not all(name in FOLLOWED for name, _ in chain):
        return one_by_one(op, values, batched, params)
    root, src = spread(values, batched)
    made, value = [], root
    for name, given in chain:
        rewritten = PARAMETERS.get(name)
        moved = tuple(shifted(OPS[name], given)) if rewritten is None else rewritten(value, given)
        made.append((name, moved))
        value = call(OPS[name], (value,), moved)
    return call(op, (root, src), (tuple(made),))


def matmul(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    left, right = values
    first, second = (v.array.ndim - flag for v, flag in zip(values, batched, strict=True))
    if batched == [True, False] and second <= 2:
        return call(op, (left, right), ())
    if batched == [False, True] and (first, second) == (2, 1):
        return call(op, (right, run("permute", left, dims=(1, 0))), ())
    if first == 1:
        left = with_one(left, -2)
    if second == 1:
        right = with_one(right, -1)
    made = elementwise(op, (left, right), batched, ())
    if first == 1:
        made = without(made, -2)
    return without(made, -1) if second == 1 else made


def systems(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    """Ops of matrices side by side, whose leading dims must be there in both."""
    ndim = max(v.array.ndim - flag for v, flag in zip(values, batched, strict=True))
    given = spread(values, batched)
    found = call(op, tuple(with_dims(v, ndim) for v in given), params)
    if not isinstance(found, tuple):
        return found
    solved, info = found
    return solved, as_shape(info, given[0].array.shape[:-2])


def _each(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


RULES: dict[str, Rule] = {
    **_each(
        by_dims,
        "sum prod amax amin any all argmax argmin cumsum cumprod flip diagonal unfold sort resample softmax "
        "log_softmax mean var std logsumexp vector_norm glu moments",
    ),
    **_each(
        as_it_is,
        "copy cast real imag view_as_real view_as_complex tril triu matrix_exp linalg_cholesky_ex "
        "linalg_lu_factor_ex linalg_qr geqrf linalg_eigh linalg_eig linalg_svd linalg_det linalg_slogdet "
        "linalg_inv_ex rows_exchanged",
    ),
    **dict.fromkeys(PARAMETERS, by_parameters),
    **_each(all_spread, "gather scatter scatter_add scatter_reduce"),
    **_each(systems, "linalg_solve_ex linalg_solve_triangular cholesky_solve"),
    "expand": expand,
    "overwrite": overwrite,
    "cat": joined,
    "matmul": matmul,
}
