"""The public surface: names, methods, keyword names, and what importing costs."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest

import devtensor as torch
from devtensor import functions, interop, printing
from devtensor.core.dtype import DTYPES, DType

# The names that most public scripts use, by module.
USED = """
cat zeros no_grad Tensor ones tensor manual_seed randn device from_numpy stack float32 arange zeros_like exp
rand log where long sqrt sigmoid sum clamp max randint ones_like empty mean sin min cos tanh abs float
randperm FloatTensor bool einsum LongTensor linspace full randn_like matmul float16 int32 as_tensor argmax
pow allclose norm uint8 topk eye multinomial equal float64 isnan gather softmax sort Size all cumsum int64
is_tensor mm enable_grad Generator bfloat16 inference_mode finfo empty_like split full_like tril triu int
flatten rsqrt bmm meshgrid isfinite any rand_like dtype chunk sign set_grad_enabled diag argsort flip unique
maximum mul repeat_interleave prod int8 outer reshape isinf normal unsqueeze relu set_num_threads
index_select nonzero round double get_default_dtype isclose add floor roll div half pi transpose dot int16
square searchsorted unbind cdist is_floating_point eq get_rng_state set_rng_state logsumexp
set_default_dtype inf nan_to_num log1p logical_and std nan bernoulli bincount minimum vstack argmin clip
addmm set_printoptions is_grad_enabled var quantile clone squeeze log_softmax iinfo initial_seed
set_default_device e nan
"""
METHODS = """
backward data item shape size sum view to float mean device detach unsqueeze cpu numpy reshape clone
transpose max requires_grad squeeze contiguous grad tolist dtype cuda long norm numel flatten permute pow
repeat type dim expand copy_ t clamp ndim add mul_ std exp fill_ add_ zero_ argmax requires_grad_ abs all T
min log masked_fill uniform_ normal_ chunk any softmax expand_as sqrt type_as gather sort mul view_as eq
flip clamp_ topk bool nonzero div is_cuda scatter_ relu cumsum double var sin div_ new_zeros cos sigmoid
unbind half int masked_fill_ repeat_interleave sub index_select square prod data_ptr argsort narrow detach_
sign scatter new unique is_floating_point new_empty unfold sub_ round is_contiguous matmul ravel tanh
register_hook rsqrt byte select median diag floor element_size isnan clamp_min nbytes mT grad_fn is_leaf
retain_grad untyped_storage lerp_ addcmul_ addcdiv_ bernoulli_ exponential_ random_ index_add_ T is_meta
is_cpu
"""


@pytest.mark.parametrize("name", USED.split())
def test_names_in_use_exist(name):
    assert hasattr(torch, name)


def test_methods_in_use_exist():
    x = torch.zeros(2, 2)
    assert [name for name in METHODS.split() if not hasattr(x, name)] == []


@pytest.mark.parametrize("module", [*functions.MODULES, interop, printing], ids=lambda m: m.__name__)
def test_what_a_module_offers_is_public(module):
    for name in module.__all__:
        assert inspect.unwrap(getattr(torch, name)) is inspect.unwrap(getattr(module, name)), name
    for name, method in getattr(module, "METHODS", {}).items():
        assert inspect.unwrap(torch.Tensor.__dict__[name]) is inspect.unwrap(method), name
        assert method.__doc__ or name.startswith("is_signed"), name


def test_dtypes_and_their_second_names():
    for name, dtype in DTYPES.items():
        assert getattr(torch, name) is dtype
    assert (torch.half, torch.float, torch.double) == (torch.float16, torch.float32, torch.float64)
    assert (torch.short, torch.int, torch.long) == (torch.int16, torch.int32, torch.int64)
    assert isinstance(torch.float32, torch.dtype) and torch.dtype is DType


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_loads_no_array_library_and_no_heavy_part():
    loaded = run("import sys, devtensor; print([m for m in sys.modules])")
    for name in ("numpy", "cupy", "ml_dtypes", "devtensor.nn", "devtensor.optim", "devtensor.utils.data"):
        assert f"'{name}'" not in loaded


def test_submodules_are_reached_without_importing_them():
    parts = "t.nn.Linear, t.optim.SGD, t.autocast, t.autograd.grad"
    assert (
        run(f"import devtensor as t; print(*(p.__name__ for p in ({parts})))") == "Linear SGD autocast grad"
    )
    assert run("import devtensor as t; print('nn' in dir(t), 'tensor' in dir(t))") == "True True"


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = torch.nonsense


NO_VALUE = (
    "requires_grad_ detach_ t_ transpose_ swapaxes_ swapdims_ squeeze_ unsqueeze_ as_strided_ bernoulli_ "
    "copy_"
)
INPLACE = [name for name in dir(torch.Tensor) if name.endswith("_") and not name.startswith("_")]
INPLACE = [name for name in INPLACE if hasattr(torch.Tensor, name[:-1]) and name not in NO_VALUE.split()]
# What the in-place forms of ops with more arguments take besides the tensor.
ARGUMENTS = {
    "clamp_": (0.2, 0.8), "clip_": (0.2, 0.8), "clamp_min_": (0.5,), "clamp_max_": (0.5,), "cumsum_": (0,),
    "cumprod_": (0,), "lerp_": ("other", 0.3), "masked_fill_": ("mask", 2.0),
    "masked_scatter_": ("mask", "other"),
    "index_add_": (0, "rows", "other"), "index_copy_": (0, "rows", "other"), "index_fill_": (0, "rows", 2.0),
    "index_put_": (("rows",), "other"), "put_": ("rows", "row"), "scatter_": (0, "places", "other"),
    "scatter_add_": (0, "places", "other"), "scatter_reduce_": (0, "places", "other", "prod"),
    "index_reduce_": (0, "rows", "other", "amax"), "addcmul_": ("other", "other"),
    "add_scaled_": ("other", 0.3), "sub_scaled_": ("other", 0.3),
    "addcdiv_": ("other", "other"), "addmm_": ("other", "other"), "addmv_": None, "addr_": None,
    "baddbmm_": None, "addbmm_": None,
    "bitwise_and_": None, "bitwise_or_": None, "bitwise_xor_": None, "bitwise_not_": None,
    "gcd_": None, "lcm_": None, "mvlgamma_": (1,), "polygamma_": (1,), "renorm_": (2, 0, 1.0),
    "bitwise_left_shift_": None, "bitwise_right_shift_": None, "fill_": None,
}  # fmt: skip


@pytest.mark.parametrize("name", INPLACE)
def test_in_place_forms_agree_with_the_others(name):
    """`x.op_(...)` gives x the value of `x.op(...)`, and keeps its memory."""
    draws = np.random.default_rng(1).uniform(0.1, 0.9, (2, 3, 3)) + (1.0 if name == "acosh_" else 0.0)
    x, other = torch.tensor(draws[0]), torch.tensor(draws[1])
    known = {
        "mask": other > 0.5, "other": other, "rows": torch.tensor([2, 0, 1]), "row": other[0],
        "places": torch.tensor([[0, 1, 2], [1, 2, 0], [2, 0, 1]]),
    }  # fmt: skip

    def value(argument):
        if isinstance(argument, tuple):
            return tuple(known[a] for a in argument)
        return known.get(argument, argument) if isinstance(argument, str) else argument

    arguments = ARGUMENTS.get(name, ())
    if arguments is None:
        return
    method = getattr(torch.Tensor, name[:-1])
    given = [value(a) for a in arguments]
    try:
        expected = method(x, *given)
    except TypeError:
        given = [other]
        expected = method(x, *given)
    y = x.clone()
    address = y.data_ptr()
    assert getattr(y, name)(*given) is y
    assert y.data_ptr() == address
    np.testing.assert_array_equal(y.numpy(), expected.to(y.dtype).numpy())


def test_numpys_keyword_names_are_taken():
    x = torch.arange(6.0).reshape(2, 3)
    assert x.sum(axis=0).tolist() == x.sum(dim=0).tolist()
    assert x.mean(axis=1, keepdims=True).shape == (2, 1)
    assert x.max(axis=1).values.tolist() == [2, 5]
    assert torch.cat([x, x], axis=1).shape == (2, 6)
    assert torch.stack([x, x], axis=2).shape == (2, 3, 2)
    assert x.argmax(axis=1).tolist() == [2, 2]


def test_results_with_names():
    found = torch.tensor([[3, 1, 2]]).max(dim=1)
    values, indices = found
    assert (values.tolist(), indices.tolist()) == ([3], [0])
    assert isinstance(found, torch.return_types.max)
    assert torch.tensor([2, 1]).sort().indices.tolist() == [1, 0]
    assert torch.tensor([1, 5, 2]).topk(2).values.tolist() == [5, 2]


def test_limits():
    for dtype in (torch.float16, torch.float32, torch.float64):
        ours, numpys = torch.finfo(dtype), np.finfo(dtype.name)
        assert (ours.eps, ours.max, ours.min, ours.tiny, ours.bits) == (
            numpys.eps, numpys.max, numpys.min, numpys.tiny, numpys.bits,
        )  # fmt: skip
    assert torch.finfo().dtype == "float32"
    assert torch.finfo(torch.bfloat16).max == 3.3895313892515355e38
    assert (torch.iinfo(torch.uint8).max, torch.iinfo(torch.int64).min) == (255, -(2**63))


def test_settings_are_kept():
    before = torch.get_num_threads()
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision("high")
    assert torch.get_float32_matmul_precision() == "high"
    torch.set_float32_matmul_precision("highest")
    with pytest.warns(UserWarning, match="'highest', 'high', or 'medium'"):
        torch.set_float32_matmul_precision("low")
    assert torch.get_float32_matmul_precision() == "highest"


def test_the_default_dtype_is_used():
    try:
        torch.set_default_dtype(torch.float64)
        assert torch.get_default_dtype() is torch.float64
        for made in (
            torch.zeros(1),
            torch.tensor(1.0),
            torch.rand(1),
            torch.linspace(0, 1, 2),
            torch.tensor([1]) / 2,
        ):
            assert made.dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
