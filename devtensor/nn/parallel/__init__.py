"""Models on several devices of one process: DataParallel and what it is made of."""

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
