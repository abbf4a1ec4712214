"""A test double: NumPy behind a wall, every kernel call checked against the contract.

Its arrays are of a class of their own that refuses to mix with NumPy's, so that a silent copy to the host
fails; its namespace offers no more than `arraylib` needs. To use it: `devtensor.backend.register(backend)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import numpy as np

from devtensor.backend import arraylib
from devtensor.backend.protocol import DTYPES, Kernel, MemoryStats
from devtensor.testing.strict_arrays import StrictArray, xp

VIEWS = frozenset(
    {
        "real",
        "imag",
        "view_as_real",
        "view_as_complex",
        "as_strided",
        "bits_as",
        "reshape",
        "permute",
        "expand",
        "getitem",
        "unfold",
        "diagonal",
    }
)
"""Kernels whose results are views of their first input."""

OTHER_DTYPES: dict[str, Callable[[int], str | None]] = {
    "where": lambda place: "bool" if place == 0 else None,
    "index_get": lambda place: "int64" if place else None,
    "index_put": lambda place: "int64" if place > 1 else None,
    **dict.fromkeys(
        (
            "index_select",
            "gather",
            "scatter",
            "scatter_add",
            "scatter_reduce",
            "embedding",
            "embedding_grad",
            "max_pool_grad",
        ),
        lambda place: "int64" if place == 1 else None,
    ),
    **dict.fromkeys(("random_uniform", "random_normal", "random_integers"), lambda place: "int64"),
}
"""For kernels with index or mask inputs: the dtype wanted at each place, None for the common one."""


WIDE_NUMBERS: dict[str, tuple[int, ...]] = dict.fromkeys(
    ("mul", "div", "div_floor", "div_trunc", "floor_divide"), (1,)
)
"""Ops that take a number in float32 beside halves, and where."""


class ContractError(AssertionError):
    """A kernel, or a caller of one, broke the contract between devtensor and its backends."""


def arrays_in(values: Iterable[Any]) -> list[StrictArray]:
    """The strict arrays among arguments or results."""
    return [value for value in values if isinstance(value, StrictArray)]


def require(truth: bool, name: str, what: str) -> None:
    """Raise ContractError unless `truth`."""
    if not truth:
        raise ContractError(f"[{name}] {what}")


def check_arguments(name: str, arguments: tuple[Any, ...]) -> None:
    """Arrays come first, are strict, and share a dtype but for indices and masks; parameters are plain."""
    arrays = arrays_in(arguments)
    first = arguments[: len(arrays)]
    require(all(isinstance(x, StrictArray) for x in first), name, "arrays must come before parameters")
    special = OTHER_DTYPES.get(name, lambda place: None)
    wide = [place for place in WIDE_NUMBERS.get(name, ()) if is_wide_number(arrays, place)]
    common = {a.dtype.name for place, a in enumerate(arrays) if special(place) is None and place not in wide}
    require(len(common) <= 1, name, f"inputs have dtypes {', '.join(sorted(common))}; they must share one")
    for place, array in enumerate(arrays):
        wanted = special(place) or array.dtype.name
        require(array.dtype.name == wanted, name, f"input {place} is {array.dtype.name}; it must be {wanted}")
    for param in arguments[len(arrays) :]:
        require(is_plain(param), name, f"parameter {param!r} is no plain Python value")


def is_wide_number(arrays: list[StrictArray], place: int) -> bool:
    """Whether the input is a number in float32 where the others are of a half type."""
    others = {a.dtype.name for k, a in enumerate(arrays) if k != place}
    number = place < len(arrays) and arrays[place].ndim == 0 and arrays[place].dtype.name == "float32"
    return number and others <= set(arraylib.HALF_TYPES)


def is_plain(param: Any) -> bool:
    """True for numbers, names, None, Ellipsis, slices, and tuples of them."""
    if isinstance(param, tuple):
        return all(map(is_plain, param))
    if isinstance(param, slice):
        return all(map(is_plain, (param.start, param.stop, param.step)))
    return param is None or param is Ellipsis or type(param) in (bool, int, float, complex, str)


def check_results(name: str, arguments: tuple[Any, ...], results: tuple[Any, ...]) -> None:
    """Results are strict arrays of known dtypes: views where the op is one, fresh memory everywhere else."""
    for place, result in enumerate(results):
        require(type(result) is StrictArray, name, f"result {place} is a {type(result).__name__}, no array")
        require(result.dtype.name in DTYPES, name, f"result {place} has dtype {result.dtype}")
        others = [*arrays_in(arguments), *results[:place]]
        shared = any(np.may_share_memory(result.held, other.held) for other in others)
        if name in VIEWS:
            require(shared or not result.size, name, "result is a copy; it must be a view")
        elif name != "write":
            require(not shared, name, "result shares memory with an input; it must be fresh")
            require(result.flags.writeable, name, "result cannot be written")


def checked(name: str, kernel: Kernel) -> Kernel:
    """The kernel with its arguments and results checked, and its inputs compared before and after."""

    def check(*arguments: Any) -> Any:
        check_arguments(name, arguments)
        kept = arrays_in(arguments)[1 if name == "write" else 0 :]
        before = [array.held.tobytes() for array in kept]
        with np.errstate(all="ignore"):
            result = kernel(*arguments)
        for array, content in zip(kept, before, strict=True):
            require(array.held.tobytes() == content, name, "an input was changed")
        check_results(name, arguments, result if isinstance(result, tuple) else (result,))
        return result

    return check


class StrictBackend:
    """The device type "strict"."""

    name = "strict"
    dtypes = frozenset(DTYPES)
    amp_policy = "cuda"
    wide_numbers = WIDE_NUMBERS

    def __init__(self) -> None:
        self.unchecked = arraylib.kernels(xp)
        self.kernels = {name: checked(name, kernel) for name, kernel in self.unchecked.items()}
        self.by_name = arraylib.find_dtypes(np)

    def specialise(self, name: str, kernel: Kernel, dtype: str, all_scalar: bool = True) -> Kernel:
        """Half types are computed in float32, checked as the others are."""
        if dtype not in arraylib.HALF_TYPES:
            return kernel
        return checked(name, arraylib.half_kernel(xp, name, self.unchecked[name], dtype))

    def device_count(self) -> int:
        return 1

    def on(self, index: int) -> nullcontext[None]:
        return nullcontext()

    def upload(self, host: memoryview, shape: tuple[int, ...], dtype: str, index: int) -> StrictArray:
        content = np.frombuffer(bytes(host), np.uint8).view(self.by_name[dtype])
        return StrictArray(content.reshape(shape).copy())

    def download(self, array: StrictArray) -> memoryview:
        return memoryview(array.held.tobytes())

    def adopt(self, array: Any) -> StrictArray:
        if not isinstance(array, StrictArray):
            raise TypeError(f"[adopt] {type(array).__name__} is no strict array; upload it")
        return array

    def dtype_of(self, array: StrictArray) -> str:
        return array.dtype.name

    def strides_of(self, array: StrictArray) -> tuple[int, ...]:
        return tuple(stride // array.dtype.itemsize for stride in array.strides)

    def synchronize(self, index: int) -> None:
        return None

    def memory(self, index: int) -> MemoryStats:
        return MemoryStats(0, 0, 0)


backend = StrictBackend()
