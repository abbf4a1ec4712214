"""The stand-in's array: NumPy's behind a wall, on a device, with CuPy's methods and CuPy's refusals."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from cupy import _loops
from cupy._machine import Late, counts, current, launch, null_queues, poison, postponed, synchronised
from cupy._memory import MemoryPointer, alloc

METHODS = frozenset(
    [
        "all",
        "any",
        "argmax",
        "argmin",
        "argsort",
        "astype",
        "conj",
        "conjugate",
        "copy",
        "cumprod",
        "cumsum",
        "diagonal",
        "max",
        "mean",
        "min",
        "prod",
        "ravel",
        "repeat",
        "reshape",
        "round",
        "squeeze",
        "sum",
        "swapaxes",
        "take",
        "trace",
        "transpose",
        "var",
    ]
)
PLAIN = ("shape", "ndim", "size", "itemsize", "nbytes", "strides", "dtype", "flags")


class Data(MemoryPointer):
    """Where an array's numbers lie: the address that NumPy gave them, in the block that was allotted."""

    def __init__(self, array: ndarray) -> None:
        self.mem, self.device_id = array.block.mem, array.device_id
        self.ptr = array.held.ctypes.data
        self.array = array

    def copy_from_host_async(self, mem: Any, size: int, stream: Any = None) -> None:
        ordered(self.array.held, stream, lambda place: ctypes.memmove(place, mem, size))

    def copy_to_host_async(self, mem: Any, size: int, stream: Any = None) -> None:
        ordered(self.array.held, stream, lambda place: ctypes.memmove(mem, place, size))


def ordered(held: np.ndarray, stream: Any, work: Any) -> None:
    """Work with the place of an array's numbers: they stay mapped until then, whoever frees them."""
    queue = queue_now() if stream is None else stream.queue
    queue.add(lambda: work(held.ctypes.data))


def queue_now() -> Any:
    """The queue of the current stream of the current device."""
    stream = current.streams.get(current.device)
    return null_queues[current.device] if stream is None else stream.queue


class ndarray:
    """An array on a device; only the library's own functions and methods can work on it."""

    __slots__ = ("__weakref__", "block", "device_id", "held")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None) -> None:
        self.adopt(np.empty(shape, dtype))

    def adopt(self, held: np.ndarray, like: ndarray | None = None) -> ndarray:
        self.held = held
        if like is None:
            self.device_id = current.device
            self.block = alloc(held.nbytes)
            if Late.on:
                Late.memory[self.block.ptr] = (held, queue_now())
        else:
            self.device_id, self.block = like.device_id, like.block
        return self

    @property
    def device(self) -> Any:
        from cupy.cuda import Device

        return Device(self.device_id)

    @property
    def data(self) -> Data:
        return Data(self)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        in_rows = self.held.flags.c_contiguous
        return {
            "shape": self.held.shape,
            "typestr": self.held.dtype.str,
            "data": (self.data.ptr if self.size else 0, False),
            "strides": None if in_rows else self.held.strides,
            "version": 3,
        }

    def __array__(self, *arguments: Any, **named: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __getattr__(self, name: str) -> Any:
        if name in PLAIN:
            return getattr(self.held, name)
        if name in ("real", "imag", "T"):
            return wrapped(getattr(self.held, name), (self,))
        if name in METHODS:
            return lambda *arguments, **named: method(self, name, arguments, named)
        raise AttributeError(f"'ndarray' object has no attribute {name!r}")

    def __len__(self) -> int:
        return len(self.held)

    def __iter__(self) -> Any:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, index: Any) -> ndarray:
        launched(self, index)
        return wrapped(self.held[bounded(self, index)], (self,))

    def __setitem__(self, index: Any, value: Any) -> None:
        launched(self, index, value)
        held, place, given = self.held, bounded(self, index), unwrapped(value)
        refuse_overlapping_bytes(held, index, given)

        def write() -> None:
            with np.errstate(all="ignore"):
                held[place] = given

        if Late.on:
            queue_now().add(write)
        else:
            write()

    def nonzero(self) -> tuple[ndarray, ...]:
        no_bfloat16("nonzero", (self,))
        launched(self)
        synchronised()
        return tuple(wrapped(part, ()) for part in np.atleast_1d(self.held).nonzero())

    def view(self, dtype: Any = None) -> ndarray:
        launched(self)
        return wrapped(self.held.view() if dtype is None else self.held.view(dtype), (self,))

    def copy(self, order: str = "C") -> ndarray:
        """A copy on the current device, from whichever device."""
        if self.device_id != current.device and not self.held.flags.c_contiguous:
            return self.in_rows_at_home().copy(order)
        launch(queue_now())
        held, made = self.held, wrapped(self.held.copy(order), ())
        postponed(queue_now(), [made.held], lambda: [held])
        return made

    def in_rows_at_home(self) -> ndarray:
        """What CuPy copies to another device, if the array itself cannot be (core.pyx): a kernel writes it,
        and the other device does not wait for that."""
        before, current.device = current.device, self.device_id
        held, made = self.held, ndarray(self.shape, self.dtype)
        poison(made.held)
        queue_now().add(lambda: made.held.__setitem__(..., held))
        current.device = before
        return made

    def fill(self, value: Any) -> None:
        """What equals zero is written as bytes of zero where the array lies in rows, -0.0 too (core.pyx)."""
        number = np.asarray(unwrapped(value)).astype(self.dtype)[()]
        self[...] = self.dtype.type(0) if number == 0 and self.flags.c_contiguous else number

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
        launched(self)
        synchronised()
        if out is None:
            return np.array(self.held, order=order)
        out[...] = self.held
        return out

    def set(self, arr: Any, stream: Any = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        from cupy.cuda._pinned import holds

        launched(self)
        # Pinned memory is read when the copy runs, other memory at once.
        source = arr if Late.reads_hosts or holds(arr.ctypes.data) else arr.copy()
        if Late.on:
            postponed(queue_now(), [self.held], lambda: [source])
        else:
            self.held[...] = source

    def item(self) -> Any:
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __bool__(self) -> bool:
        return bool(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __float__(self) -> float:
        return float(self.get())

    def __index__(self) -> int:
        return self.get().__index__()

    def __neg__(self) -> ndarray:
        return _loops.call("negative", (self,))

    def __invert__(self) -> ndarray:
        return _loops.call("invert", (self,))

    def __abs__(self) -> ndarray:
        return _loops.call("absolute", (self,))

    def __dlpack__(self, *, stream: Any = None, **asked: Any) -> Any:
        """CuPy lets the taker's stream wait for the current one of the current device (core.pyx)."""
        counts["exports"] += 1
        streams_asked.append(stream)
        writers.append((current.device, queue_now()))
        return device_told(self.held.__dlpack__(**asked), 2, self.device_id)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self.device_id)

    def __repr__(self) -> str:
        return f"standin({self.held!r}, device={self.device_id})"


streams_asked: list[Any] = []
"""The stream of every request for a capsule."""
writers: list[Any] = []
"""The device and the queue that a capsule's taker waits for."""


def device_told(capsule: Any, *device: int) -> Any:
    """The capsule, in which NumPy has written the host as its tensor's device, with another one there."""
    api = ctypes.pythonapi
    name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", api))(capsule)
    get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", api))
    place = get(capsule, name) + (40 if name == b"dltensor_versioned" else 8)
    (ctypes.c_int32 * 2).from_address(place)[:] = device
    return capsule


OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "pow": "power",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "rshift": "right_shift",
    "lshift": "left_shift", "mod": "remainder", "floordiv": "floor_divide",
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
    "ge": "greater_equal",
}  # fmt: skip


def operators(ours: str, theirs: str) -> None:
    """Give the array an operator, its reflected and its in-place form."""
    setattr(ndarray, f"__{ours}__", lambda self, other: _loops.call(theirs, (self, other)))
    if ours not in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(ndarray, f"__r{ours}__", lambda self, other: _loops.call(theirs, (other, self)))
        setattr(ndarray, f"__i{ours}__", lambda self, other: _loops.call(theirs, (self, other), out=self))


for pair in OPERATORS.items():
    operators(*pair)


def launched(*values: Any) -> None:
    """Something runs on the current stream of the current device with these values.

    Errors: TypeError for NumPy's arrays, ValueError for arrays of another device.
    """
    for value in flat(values):
        if isinstance(value, np.ndarray):
            raise TypeError(f"Unsupported type {type(value)}")
        if isinstance(value, ndarray) and value.device_id != current.device:
            raise ValueError(
                "Array device must be same as the current device: "
                f"array device = {value.device_id} while current = {current.device}"
            )
    launch(queue_now())


def flat(values: Any) -> Any:
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from flat(value)
        else:
            yield value


def refuse_overlapping_bytes(held: np.ndarray, index: Any, given: Any) -> None:
    """Arrays alike in layout are copied as bytes (_routines_indexing.pyx), and nobody asks whether they
    overlap: then the result is undefined.
    """
    if index is not Ellipsis or not isinstance(given, np.ndarray) or given.ctypes.data == held.ctypes.data:
        return
    alike = (given.shape, given.strides, given.dtype) == (held.shape, held.strides, held.dtype)
    if alike and held.flags.c_contiguous and np.may_share_memory(held, given):
        raise AssertionError("overlapping memory would be copied as bytes")


def no_bfloat16(name: str, values: Any) -> None:
    """Refuse bfloat16 where CuPy has no loop for it."""
    for value in flat(values):
        if isinstance(value, ndarray) and value.dtype.name == "bfloat16":
            raise TypeError(f"Wrong type (bfloat16) of arguments for cupy_{name}")


def bounded(array: ndarray, index: Any) -> Any:
    """The index for NumPy: places out of range go round, as on the device; a mask makes the host wait."""
    parts = list(index) if isinstance(index, tuple) else [index]
    axis = 0
    taken = sum(1 for part in parts if part is not None and part is not Ellipsis)
    for place, part in enumerate(parts):
        if part is Ellipsis:
            axis += array.ndim - taken
        elif isinstance(part, ndarray):
            if part.dtype.kind == "b":
                synchronised()
                parts[place] = part.held
                axis += part.ndim - 1
            else:
                parts[place] = part.held % (array.shape[axis] or 1)
        axis += part is not None and part is not Ellipsis
    return tuple(parts)


def unwrapped(value: Any) -> Any:
    """What NumPy gets for an argument."""
    if isinstance(value, ndarray):
        return value.held
    if isinstance(value, (tuple, list)):
        return type(value)(map(unwrapped, value))
    return value


def wrapped(value: Any, inputs: Any) -> Any:
    """NumPy's result on the current device: in its input's block if it is a view, else in one of its own."""
    if isinstance(value, (np.ndarray, np.generic)):
        held = np.asarray(value)
        for source in flat((inputs,)):
            if isinstance(source, ndarray) and held.size and np.may_share_memory(held, source.held):
                return object.__new__(ndarray).adopt(held, source)
        return object.__new__(ndarray).adopt(held)
    if isinstance(value, tuple):
        return tuple(wrapped(part, inputs) for part in value)
    return value


def method(self: ndarray, name: str, arguments: Any, named: Any) -> Any:
    """A method as the function of that name, where there is one."""
    from cupy import _functions

    if name in _functions.REDUCTIONS:
        return _functions.REDUCTIONS[name](self, *arguments, **named)
    launched(self, arguments)
    with np.errstate(all="ignore"):
        held = self.held if name != "astype" else saturated(self.held, *arguments[:1], **named)
        result = getattr(held, name)(*unwrapped(arguments), **{k: unwrapped(v) for k, v in named.items()})
    return wrapped(result, (self,))


def saturated(held: np.ndarray, dtype: Any, **named: Any) -> np.ndarray:
    """What is converted: to integers without a sign the device makes 0 of negative numbers and NaN, where
    processors take the bits of a signed one ("Differences between CuPy and NumPy" in CuPy's manual)."""
    is_float = held.dtype.kind == "f" or held.dtype.name == "bfloat16"
    if np.dtype(dtype).kind != "u" or not is_float:
        return held
    made = held.copy(order="K")
    made[~(held > 0)] = 0
    return made
