"""PyTorch's flexible spellings over the ops' strict ones.

Each module names in METHODS the functions that are Tensor methods too, and in PROPERTIES the attributes.
Its `__all__` names what `devtensor` itself offers.
"""

from devtensor.functions import (
    arithmetic,
    comparing,
    creation,
    distinct,
    grids,
    indexing,
    joining,
    masking,
    ordering,
    products,
    reducing,
    sampling,
    selecting,
    shaping,
    tensors,
    windows,
)

MODULES = (
    arithmetic,
    comparing,
    creation,
    distinct,
    grids,
    indexing,
    joining,
    masking,
    ordering,
    products,
    reducing,
    sampling,
    selecting,
    shaping,
    tensors,
    windows,
)
