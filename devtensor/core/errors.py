"""One error type per cause; every message names the op, what was given and what to do."""

from __future__ import annotations


class DevtensorError(Exception):
    """Base of every error devtensor raises on purpose."""


class ShapeError(DevtensorError, RuntimeError):
    """Sizes that do not fit together, or a dimension that does not exist."""


class DTypeError(DevtensorError, NotImplementedError):
    """A dtype that an op, a device or a conversion does not take.

    PyTorch says RuntimeError where dtypes do not fit together, and that kind of it where one is not taken.
    """


class DeviceError(DevtensorError, RuntimeError):
    """A device that does not exist, cannot be used, or tensors on different devices."""


class DeviceMissing(DeviceError, AssertionError):
    """A device type that this machine cannot use."""


class DimensionError(DevtensorError, IndexError):
    """A dimension number outside the tensor's dimensions."""


class IndexingError(DevtensorError, IndexError):
    """An index outside its dimension, or an index of a kind that cannot index."""


class IndexOutOfRange(IndexingError, RuntimeError):
    """An index outside its dimension, for which PyTorch raises one base or the other by the count of dims."""


class ArgumentError(DevtensorError, ValueError, RuntimeError):
    """An argument whose value is out of its range."""


class NumberTooLarge(ArgumentError, OverflowError):
    """A whole number that 64 bits do not hold."""


class ArgumentTypeError(DevtensorError, TypeError):
    """An argument of a kind that the op does not take."""


class NotATensor(ArgumentTypeError, AttributeError):
    """Something else where a Tensor belongs; PyTorch's own functions raise one or the other of its bases."""


class ContractError(DevtensorError, AssertionError):
    """Arguments that do not go together; PyTorch asserts that they do."""


class AutogradError(DevtensorError, RuntimeError):
    """A gradient that cannot be computed as asked."""


class VersionError(AutogradError):
    """A value saved for backward was overwritten by an in-place op."""


class DerivativeMissing(AutogradError, NotImplementedError):
    """Backward came to an op that has no derivative."""


class OptionError(DevtensorError, RuntimeError):
    """An option that names no way of doing it, or one that this device does not have."""


class LinAlgError(DevtensorError, RuntimeError):
    """A matrix that has no such decomposition, inverse or solution."""


class KernelMissing(DevtensorError, NotImplementedError):
    """A backend has no kernel for a primitive."""


class TraceError(DevtensorError, RuntimeError):
    """Something that a graph cannot hold happened while one was being captured."""


class GraphError(DevtensorError, RuntimeError):
    """A graph that is malformed, or fed with what it was not built for."""


class CheckpointError(DevtensorError, RuntimeError):
    """A file that cannot be read as what it should hold."""


class OutOfMemoryError(DevtensorError, RuntimeError):
    """A device has no room for what was asked of it."""


class Unsupported(DevtensorError, NotImplementedError):
    """Something that PyTorch offers and devtensor does not; the message says why."""


class ExportError(DevtensorError, BufferError):
    """Memory that cannot be lent to another library."""


class SettingError(DevtensorError, RuntimeError):
    """A setting that is given a value which it does not take."""
