"""Process groups by PyTorch's names: there are none, and the questions about them are answered.

`is_available()` is False, so scripts that ask run as one process. A process group is refused with the reason;
what needs one raises a ValueError, as in PyTorch before `init_process_group`.
"""

from __future__ import annotations

import datetime
import enum
import os
from collections.abc import Callable
from typing import Any, NoReturn

from devtensor.core.errors import ArgumentError, SettingError
from devtensor.core.naming import named
from devtensor.core.refusal import refused, refused_class

REASON = "devtensor runs as one process; start the script without a launcher, and without this call"
default_pg_timeout = datetime.timedelta(minutes=30)


class ReduceOp(enum.Enum):
    """How values of several processes become one."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7
    PREMUL_SUM = 8


reduce_op = ReduceOp


class Backend(str):
    """Names of the libraries that processes talk by."""

    UNDEFINED = "undefined"
    GLOO = "gloo"
    NCCL = "nccl"
    MPI = "mpi"
    UCC = "ucc"
    XCCL = "xccl"


class group:
    """The group of all processes: none was made."""

    WORLD = None


class GroupMember:
    """What a process is that belongs to no group."""

    WORLD = None
    NON_GROUP_MEMBER = -100


def is_available() -> bool:
    """Whether several processes can work together: no."""
    return False


def is_initialized() -> bool:
    """Whether a process group was made: no."""
    return False


is_nccl_available = is_gloo_available = is_mpi_available = is_ucc_available = is_xccl_available = is_available


def is_backend_available(backend: str) -> bool:
    """Whether processes can talk by this library: no."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether a launcher for several processes started this one."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """This process's number on its machine, as a launcher tells it in LOCAL_RANK.

    Errors: SettingError if it does not, and no number was given to fall back on.
    """
    told = os.environ.get("LOCAL_RANK", fallback_rank)
    if told is None:
        raise SettingError("[get_node_local_rank] LOCAL_RANK is not in the environment; pass fallback_rank")
    return int(told)


def needing_group(name: str) -> Callable[..., Any]:
    """A function that works on a process group, of which there is none."""

    def needing(*args: Any, **kwargs: Any) -> NoReturn:
        raise ArgumentError(
            f"[distributed.{name}] Default process group has not been initialized; devtensor runs as one "
            "process: ask is_initialized() first"
        )

    return named(needing, name, "Refused: there is no process group.")


init_process_group = refused("distributed.init_process_group", REASON)
init_device_mesh = refused("distributed.init_device_mesh", REASON)
ProcessGroup = refused_class("distributed.ProcessGroup", REASON)
Work = refused_class("distributed.Work", REASON)
Store = refused_class("distributed.Store", REASON)
TCPStore = refused_class("distributed.TCPStore", REASON, Store)
FileStore = refused_class("distributed.FileStore", REASON, Store)
HashStore = refused_class("distributed.HashStore", REASON, Store)
P2POp = refused_class("distributed.P2POp", REASON)
DeviceMesh = refused_class("distributed.DeviceMesh", REASON)

# What needs a process group.
COLLECTIVES = (
    "all_gather", "all_gather_coalesced", "all_gather_into_tensor", "all_gather_object", "all_reduce",
    "all_reduce_coalesced", "all_to_all", "all_to_all_single", "barrier", "batch_isend_irecv", "broadcast",
    "broadcast_object_list", "destroy_process_group", "gather", "gather_object", "get_backend",
    "get_global_rank", "get_group_rank", "get_process_group_ranks", "get_rank", "get_world_size", "irecv",
    "isend", "monitored_barrier", "new_group", "new_subgroups", "recv", "recv_object_list", "reduce",
    "reduce_scatter", "reduce_scatter_tensor", "scatter", "scatter_object_list", "send", "send_object_list",
)  # fmt: skip
globals().update({name: needing_group(name) for name in COLLECTIVES})
