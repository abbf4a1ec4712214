"""save and load: PyTorch's `.pt` files, written and read without PyTorch, and without running what they name.

A file is a zip archive of one pickle and of the storages' bytes. `saving`, `pickling`, `storing` and
`zip_writing` write it; `loading`, `unpickling`, `allowed`, `rebuilding`, `memories` and `zip_reading` read
it; `legacy` and `tarred` read what came before.
"""

from devtensor.serialization.allowed import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)
from devtensor.serialization.errors import UnpicklingError
from devtensor.serialization.loading import get_unsafe_globals_in_checkpoint, load
from devtensor.serialization.options import (
    LoadEndianness,
    get_crc32_options,
    get_default_load_endianness,
    get_default_mmap_options,
    set_crc32_options,
    set_default_load_endianness,
    set_default_mmap_options,
    skip_data,
)
from devtensor.serialization.places import (
    default_restore_location,
    location_tag,
    register_package,
    validate_cuda_device,
)
from devtensor.serialization.saving import DEFAULT_PROTOCOL, save

__all__ = [
    "DEFAULT_PROTOCOL",
    "LoadEndianness",
    "UnpicklingError",
    "add_safe_globals",
    "clear_safe_globals",
    "default_restore_location",
    "get_crc32_options",
    "get_default_load_endianness",
    "get_default_mmap_options",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "location_tag",
    "register_package",
    "safe_globals",
    "save",
    "set_crc32_options",
    "set_default_load_endianness",
    "set_default_mmap_options",
    "skip_data",
    "validate_cuda_device",
]
