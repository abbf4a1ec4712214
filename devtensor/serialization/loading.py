"""load: a state from a file that PyTorch or `save` wrote, without running any code that it names."""

from __future__ import annotations

import os
import warnings
from typing import Any

from devtensor.core.errors import ArgumentError, CheckpointError
from devtensor.serialization.allowed import AllowedGlobals, user_globals
from devtensor.serialization.closed_list import CLOSED
from devtensor.serialization.errors import UnpicklingError
from devtensor.serialization.files import is_path
from devtensor.serialization.legacy import load_legacy
from devtensor.serialization.memories import byte_order, zip_memories
from devtensor.serialization.opcodes import Bytes
from devtensor.serialization.options import default_byte_order
from devtensor.serialization.places import Restore, restorer
from devtensor.serialization.sources import Source, opened
from devtensor.serialization.surveying import survey
from devtensor.serialization.tarred import is_tar, load_tar
from devtensor.serialization.unpickling import Machine
from devtensor.serialization.zip_layout import LOCAL_MARK
from devtensor.serialization.zip_reading import ZipReader

__all__ = ["get_unsafe_globals_in_checkpoint", "load"]

# The newest version of the zip format that PyTorch reads, and so does this.
NEWEST = 10


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Read what `save`, or PyTorch's `torch.save`, wrote to a path or a seekable binary file.

    Loading never runs code that the file names: tensors, parameters, numbers, texts and containers are made,
    everything else only after `serialization.add_safe_globals`. `weights_only=False` and `pickle_module` are
    accepted and open nothing. Storages go to the devices where they lay, or where `map_location` says: a
    device, a dict of location tags, or a function of a storage and its tag that gives a storage or None. With
    `mmap` the numbers stay in the file until they are used, and their checksums are not looked at. Files of
    the format from before PyTorch 1.6 are read too; a `.safetensors` file gives the dict of its tensors.

    Errors: UnpicklingError (a pickle.UnpicklingError) that names what the file may not; CheckpointError (a
    RuntimeError) for a file that is damaged or of another format; DeviceError (a RuntimeError) for a device
    that is not there, with the advice to give map_location; OSError if the file cannot be opened.
    Example: `model.load_state_dict(load("run.pt", map_location="cpu")["model"])`.
    """
    if weights_only and pickle_module is not None:
        raise CheckpointError(
            "[load] Can not safely load weights when explicit pickle_module is specified; leave it out"
        )
    if pickle_load_args and weights_only is not False:
        warnings.warn("pickle_load_args only works if `weights_only=False`.", stacklevel=2)
    encoding = pickle_load_args.get("encoding", "utf-8")
    if is_path(f) and os.fspath(f).endswith(".safetensors"):
        return _load_safetensors(f, map_location)
    restore = restorer(map_location)
    with opened(f, mmap) as source:
        try:
            return _load(source, restore, encoding, bool(mmap))
        except UnpicklingError as error:
            if str(error).startswith("["):
                raise
            raise type(error)(f"[load] {source.name} is damaged: {error}") from None


def _load(source: Source, restore: Restore, encoding: str, mapped: bool) -> Any:
    """The object in a file of any format."""
    if _is_zip(source):
        return _load_zip(ZipReader(source), restore, encoding)
    if mapped:
        raise CheckpointError(
            "[load] mmap can only be used with files saved with "
            "`save(_use_new_zipfile_serialization=True)`, please save your checkpoint with this option to "
            "use mmap"
        )
    return load_tar(source, restore, encoding) if is_tar(source) else load_legacy(source, restore, encoding)


def _is_zip(source: Source) -> bool:
    return bytes(source.read(0, min(source.size, len(LOCAL_MARK)))) == LOCAL_MARK


def _load_safetensors(f: Any, map_location: Any) -> Any:
    from devtensor.utils import safetensors

    if isinstance(map_location, dict) or callable(map_location):
        raise CheckpointError(
            f"[load] a safetensors file cannot be loaded with a {type(map_location).__name__} as "
            "map_location; use a device"
        )
    return safetensors.load(f, map_location)


def _load_zip(reader: ZipReader, restore: Restore, encoding: str) -> Any:
    _check_kind(reader)
    order = byte_order(reader, default_byte_order())
    rules = AllowedGlobals(zip_memories(reader, restore, order))
    return Machine(Bytes(reader.read("data.pkl")), rules, encoding).run()


def _check_kind(reader: ZipReader) -> None:
    """Refuse TorchScript, and formats newer than what is known."""
    if "constants.pkl" in reader:
        raise CheckpointError(
            f"[load] {reader.source.name} is a TorchScript archive, which holds code, and code in files is "
            "never run; save the module's state_dict() with PyTorch and load that"
        )
    if "version" in reader:
        version = bytes(reader.read("version")).strip()
        if not version.isdigit() or len(version) > 4 or int(version) > NEWEST:
            raise CheckpointError(
                f"[load] {reader.source.name} is of format {version[:20]!r}; known are formats up to {NEWEST}"
            )


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The classes and functions that a zip checkpoint names and that nobody made safe; nothing is loaded.

    Errors: ArgumentError if it is no such checkpoint.
    """
    with opened(f, False) as source:
        if not _is_zip(source):
            raise ArgumentError("[load] Expected input to be a checkpoint returned by save")
        reader = ZipReader(source)
        if "constants.pkl" in reader:
            raise ArgumentError(
                "[load] Expected input to be a checkpoint returned by save but got a torchscript checkpoint"
            )
        named = survey(Bytes(reader.read("data.pkl"))).globals
    safe = {*CLOSED, *user_globals(), *AllowedGlobals(lambda identity: identity).extra}
    return [path for path in named if path not in safe]
