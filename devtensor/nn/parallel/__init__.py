"""Models on several devices by PyTorch's names: DataParallel runs on one, the others are refused."""

from devtensor.nn.parallel.data_parallel import DataParallel, data_parallel
from devtensor.nn.parallel.distributed import DistributedDataParallel
from devtensor.nn.parallel.parallel_apply import parallel_apply
from devtensor.nn.parallel.replicate import replicate
from devtensor.nn.parallel.scatter_gather import gather, scatter

__all__ = [
    "DataParallel",
    "DistributedDataParallel",
    "data_parallel",
    "gather",
    "parallel_apply",
    "replicate",
    "scatter",
]
