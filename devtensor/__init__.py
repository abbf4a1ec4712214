"""devtensor: PyTorch's habits on the arrays you have."""

# ruff: noqa: F401, F403 - names to be offered, not used; each module of functions lists its own

from importlib import import_module as _import_module
from math import e, inf, nan, pi
from typing import Any as _Any

from devtensor import methods as _methods
from devtensor import neighbours as _neighbours
from devtensor import random, return_types
from devtensor.core.device import Device as device
from devtensor.core.device import set_default_device
from devtensor.core.dtype import DType as dtype
from devtensor.core.dtype import (
    bfloat16,
    complex64,
    complex128,
    float8_e4m3fn,
    float8_e5m2,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    set_default_dtype,
    uint8,
    uint16,
    uint32,
    uint64,
)
from devtensor.core.dtype import bool_ as bool
from devtensor.core.dtype import complex64 as cfloat
from devtensor.core.dtype import complex128 as cdouble
from devtensor.core.dtype import float16 as half
from devtensor.core.dtype import float32 as float
from devtensor.core.dtype import float64 as double
from devtensor.core.dtype import int16 as short
from devtensor.core.dtype import int32 as int
from devtensor.core.dtype import int64 as long
from devtensor.core.errors import OutOfMemoryError
from devtensor.core.state import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from devtensor.core.tensor import Size, Tensor
from devtensor.fft.spectrograms import *
from devtensor.functions import operands as _operands
from devtensor.functions import out as _out
from devtensor.functions import overwriting as _overwriting
from devtensor.functions.activations import *
from devtensor.functions.adding import *
from devtensor.functions.aliases import *
from devtensor.functions.arithmetic import *
from devtensor.functions.attributes import *
from devtensor.functions.comparing import *
from devtensor.functions.copies import *
from devtensor.functions.counting import *
from devtensor.functions.creation import *
from devtensor.functions.diagonals import *
from devtensor.functions.distances import *
from devtensor.functions.distinct import *
from devtensor.functions.einsum import *
from devtensor.functions.estimates import *
from devtensor.functions.grids import *
from devtensor.functions.histograms import *
from devtensor.functions.joining import *
from devtensor.functions.largest import *
from devtensor.functions.legacy import *
from devtensor.functions.masking import *
from devtensor.functions.moments import *
from devtensor.functions.ordering import *
from devtensor.functions.parts import *
from devtensor.functions.products import *
from devtensor.functions.putting import *
from devtensor.functions.quantiles import *
from devtensor.functions.ranges import *
from devtensor.functions.rearranging import *
from devtensor.functions.reducing import *
from devtensor.functions.repeating import *
from devtensor.functions.running import *
from devtensor.functions.sampling import *
from devtensor.functions.scattering import *
from devtensor.functions.segments import *
from devtensor.functions.selecting import *
from devtensor.functions.settings import *
from devtensor.functions.shaping import *
from devtensor.functions.slices import *
from devtensor.functions.slopes import *
from devtensor.functions.specials import *
from devtensor.functions.splitting import *
from devtensor.functions.striding import *
from devtensor.functions.tensors import *
from devtensor.functions.transposing import *
from devtensor.functions.unary import *
from devtensor.functions.windows import *
from devtensor.interop import *
from devtensor.linalg.norms import *
from devtensor.linalg.reflections import *
from devtensor.linalg.spellings import *
from devtensor.ops.activation import relu
from devtensor.ops.compare import (
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    eq,
    ge,
    gt,
    isfinite,
    isinf,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
)
from devtensor.ops.elementwise import (
    ceil,
    floor,
    floor_divide,
    fmod,
    neg,
    remainder,
    sign,
    square,
    trunc,
)
from devtensor.ops.error_functions import (
    erf,
    erfc,
    erfinv,
)
from devtensor.ops.extremes import maximum, minimum
from devtensor.ops.functions import (
    atan,
    cos,
    exp,
    exp2,
    expm1,
    log,
    log1p,
    log2,
    log10,
    reciprocal,
    rsqrt,
    sin,
    sqrt,
    tanh,
)
from devtensor.ops.hyperbolic import (
    acos,
    acosh,
    asin,
    asinh,
    atanh,
    cosh,
    sigmoid,
    sinh,
    tan,
)
from devtensor.ops.index import (
    embedding,
)
from devtensor.ops.plane import atan2, hypot
from devtensor.printing import *
from devtensor.random import Generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from devtensor.storage import *
from devtensor.version import __version__

newaxis = None
_neighbours.watch()
_out.attach(globals())
_operands.attach(globals())
_overwriting.attach(globals())

# Submodules that are loaded when first asked for.
_SUBMODULES = frozenset((
    "_VF", "__config__", "_dynamo", "_inductor", "_utils", "accelerator", "amp", "array_api", "autograd",
    "backend", "backends", "compiler", "cpu", "cuda", "distributed", "distributions", "fft", "func",
    "functional", "futures", "graph", "hub", "jit", "linalg", "mps", "mtia", "multiprocessing", "nn", "onnx",
    "optim", "overrides", "profiler", "serialization", "signal", "special", "storage", "testing",
    "torch_version", "types", "utils", "version", "xpu",
))  # fmt: skip
# Names that live in submodules which are loaded when first asked for.
_ELSEWHERE = {
    "AcceleratorError": "cuda",
    "_amp_foreach_non_finite_check_and_unscale_": "amp.scaler_functions",
    "_amp_update_scale_": "amp.scaler_functions",
    "GradScaler": "amp",
    "Event": "accelerator.streams",
    "Stream": "accelerator.streams",
    "autocast": "amp",
    "autocast_decrement_nesting": "amp.settings",
    "autocast_increment_nesting": "amp.settings",
    "clear_autocast_cache": "amp.settings",
    "compile": "compiler",
    "get_autocast_dtype": "amp.settings",
    "is_anomaly_check_nan_enabled": "autograd",
    "is_anomaly_enabled": "autograd",
    "is_autocast_cache_enabled": "amp.settings",
    "is_autocast_enabled": "amp.layer",
    "load": "serialization",
    "save": "serialization",
    "set_anomaly_enabled": "autograd.anomaly",
    "set_autocast_cache_enabled": "amp.settings",
    "set_autocast_dtype": "amp.layer",
    "set_autocast_enabled": "amp.layer",
    "vmap": "func",
}
_ELSEWHERE |= dict.fromkeys((
    "get_autocast_cpu_dtype", "get_autocast_gpu_dtype", "get_autocast_ipu_dtype", "get_autocast_xla_dtype",
    "is_autocast_cpu_enabled", "is_autocast_ipu_enabled", "is_autocast_xla_enabled", "set_autocast_cpu_dtype",
    "set_autocast_cpu_enabled", "set_autocast_gpu_dtype", "set_autocast_ipu_dtype",
    "set_autocast_ipu_enabled", "set_autocast_xla_dtype", "set_autocast_xla_enabled",
), "amp.older_names")  # fmt: skip
_ELSEWHERE |= dict.fromkeys((
    "adaptive_avg_pool1d", "adaptive_max_pool1d", "affine_grid_generator", "alpha_dropout",
    "alpha_dropout_", "avg_pool1d", "batch_norm", "bilinear", "celu", "celu_", "channel_shuffle", "conv1d",
    "conv2d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "cosine_similarity", "dropout", "dropout_", "feature_alpha_dropout", "feature_alpha_dropout_",
    "feature_dropout", "feature_dropout_", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d",
    "group_norm", "hardshrink", "instance_norm", "layer_norm", "max_pool1d", "max_pool1d_with_indices",
    "max_pool2d", "max_pool3d", "native_channel_shuffle", "pairwise_distance", "pdist", "pixel_shuffle",
    "pixel_unshuffle", "prelu", "relu_", "rms_norm", "rrelu", "rrelu_", "selu", "selu_", "threshold",
    "threshold_",
), "nn.functional.unqualified")  # fmt: skip
_ELSEWHERE |= dict.fromkeys((
    "binary_cross_entropy_with_logits", "cosine_embedding_loss", "ctc_loss", "hinge_embedding_loss",
    "kl_div", "margin_ranking_loss", "poisson_nll_loss", "triplet_margin_loss",
), "nn.functional.numbered")  # fmt: skip
_ELSEWHERE |= dict.fromkeys((
    "constant_pad_nd", "convolution", "embedding_renorm_", "native_batch_norm", "native_group_norm",
    "native_layer_norm",
), "nn.functional.native")  # fmt: skip
_ELSEWHERE |= dict.fromkeys((
    "_dirichlet_grad", "_sample_dirichlet", "_standard_gamma", "_standard_gamma_grad", "binomial", "poisson",
), "functions.rejection")  # fmt: skip
_ELSEWHERE |= dict.fromkeys(("gru", "lstm", "rnn_relu", "rnn_tanh"), "nn.functional.recurrent")
_ELSEWHERE |= dict.fromkeys(
    ("gru_cell", "lstm_cell", "rnn_relu_cell", "rnn_tanh_cell"), "nn.functional.recurrent_cells"
)
_ELSEWHERE |= dict.fromkeys(("_pack_padded_sequence", "_pad_packed_sequence"), "nn.functional.packing")


def __getattr__(name: str) -> _Any:
    if name in _SUBMODULES:
        try:
            return _import_module(f"devtensor.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"devtensor.{name}":
                raise
            raise AttributeError(f"devtensor has no module {name!r} in this version") from None
    if name in _ELSEWHERE:
        return getattr(_import_module(f"devtensor.{_ELSEWHERE[name]}"), name)
    if name == "default_generator":
        return random.default_generator
    if name.startswith("_foreach_"):
        found = _import_module("devtensor.functions.foreach").FUNCTIONS.get(name)
        if found is not None:
            return found
    raise AttributeError(f"module 'devtensor' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_ELSEWHERE, "default_generator"})
