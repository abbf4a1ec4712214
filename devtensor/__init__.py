"""devtensor: PyTorch's habits on the arrays you have."""

import devtensor.methods as _methods
from devtensor.core.device import Device as device
from devtensor.core.dtype import *
from devtensor.core.dtype import bool_ as bool
from devtensor.core.state import *
from devtensor.core.tensor import Tensor, Size
from devtensor.functions.creation import *
from devtensor.functions.reducing import *
from devtensor.functions.sampling import *
from devtensor.functions.shaping import *
from devtensor.functions.tensors import *
from devtensor.interop import *
from devtensor.random import *
from devtensor.version import __version__
