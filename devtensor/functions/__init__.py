"""PyTorch's flexible spellings over the ops' strict ones.

Each module names in METHODS the functions that are Tensor methods too, and in PROPERTIES the attributes.
Its `__all__` names what `devtensor` itself offers.
"""

from devtensor.functions import creation, indexing, reducing, sampling, shaping, tensors

MODULES = (creation, indexing, reducing, sampling, shaping, tensors)
