"""Calls within autocast and of GradScaler, one a line, made by both libraries on the CPU (--oracle torch).

`T` is the library; results, dtypes, and kinds of errors must agree.
"""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import pytest

import devtensor
from amp_scenes import agree, asked, drawn, state, under

API = """
[asked(T.amp.is_autocast_available, d) for d in ("cuda:1", "CPU", "", "hpu", None)]
[asked(T.get_autocast_dtype, d) for d in ("cpu:0", "cuda:1", "foo", "")]
[vars(T.autocast("cpu", T.float16))[n] for n in ("device", "fast_dtype", "_enabled", "_cache_enabled")]
[asked(T.autocast, "cpu", T.float16, True, True, True), asked(T.autocast, None), asked(T.autocast, 0)]
[T.autocast("xpu", enabled=False).device, T.autocast("cuda:1", enabled=False).fast_dtype]
[(T.autocast("cpu", getattr(T, d))._enabled) for d in ("float32", "float64", "bool", "complex64", "float16")]
[T.autocast("cpu", T.float32).__enter__().__exit__(None, None, None), T.get_autocast_dtype("cpu"), *state(T)]
T.autocast("cpu")(lambda: T.autocast("cpu", enabled=False)(lambda: state(T))())()
T.amp.autocast_mode.autocast_decorator(T.autocast("cpu", dtype=T.float16), lambda: state(T))()
[asked(T.autocast("cpu"), 3), asked(T.autocast("cpu"), None)]
T.autocast("cpu")(lambda: T.ones(2, 2) @ T.ones(2, 2)).__wrapped__().dtype
list(T.autocast("cpu")(lambda: (T.is_autocast_enabled("cpu") for _ in range(2)))())
under(T, lambda: [T.get_autocast_dtype("cpu"), under(T, lambda: state(T), dtype=T.float16), *state(T)])
under(T, lambda: under(T, lambda: under(T, lambda: state(T)), enabled=False), dtype=T.float16)
[under(T, lambda: state(T), cache_enabled=c) for c in (None, False, True)]
[asked(T.set_autocast_enabled, *a) for a in (("cpu", 1), ("foo", True), (1, True), ("cpu", None))]
[asked(T.set_autocast_dtype, *a) for a in (("cpu", None), ("foo", T.float16), ("cpu", 1))]
[asked(T.is_autocast_enabled, d) for d in ("foo", 1, None)]
[asked(T.set_autocast_cache_enabled, c) for c in (1, None, "x")]
[T.set_autocast_cache_enabled(False), T.is_autocast_cache_enabled(), T.set_autocast_cache_enabled(True)]
[T.clear_autocast_cache(), under(T, T.clear_autocast_cache)]
[T.autocast_increment_nesting() - T.autocast_decrement_nesting()]
[T.cuda.amp.common.amp_definitely_not_available(), T.cuda.amp.amp_definitely_not_available()]
[issubclass(c.amp.autocast, T.autocast) for c in (T.cuda, T.cpu)]
[issubclass(c.amp.GradScaler, T.amp.GradScaler) for c in (T.cuda, T.cpu)]
[c.__module__ for c in (T.autocast, T.GradScaler, T.amp.custom_fwd, T.amp.custom_bwd, T.cuda.amp.autocast)]
[c.__module__ for c in (T.cpu.amp.autocast, T.cuda.amp.GradScaler, T.amp.is_autocast_available)]
[vars(T.cpu.amp.autocast(dtype=T.float16))[n] for n in ("device", "fast_dtype", "_enabled")]
[vars(T.cuda.amp.autocast(False))[n] for n in ("device", "fast_dtype", "_enabled")]
[T.cpu.amp.GradScaler().is_enabled(), T.cpu.amp.GradScaler(4.0, 3.0, 0.25, 7).state_dict()]
[T.cuda.amp.GradScaler().is_enabled(), T.cuda.amp.GradScaler().state_dict()]
[*map(type(T.autocast("cpu")).__name__.__eq__, ("autocast", "x"))]
pickle.loads(pickle.dumps(T.autocast("cpu", T.float16)))(lambda: state(T))()
copy.deepcopy(T.autocast("cpu", T.float16, cache_enabled=False))(lambda: state(T))()
type("own", (T.autocast,), {"__init__": lambda self: T.autocast.__init__(self, "cpu")})()(lambda: state(T))()
[T.amp._exit_autocast(T.amp._enter_autocast("cpu", T.float16, True, False)), *state(T)]
[T.amp._enter_autocast("cpu", T.float16, True, False).__exit__(None, None, None), *state(T)]
[asked(T.amp.custom_fwd, len, device_type=None), asked(T.amp.custom_bwd, len, device_type=3)]
[asked(T.amp.custom_fwd, len), asked(T.amp.custom_bwd, len), callable(T.amp.custom_fwd(device_type="cpu"))]
T.amp.custom_fwd(len, device_type="cpu").__wrapped__ is len
"""

# Of two square matrices; each is called with several dtypes in both regions.
FUNCTIONS = """
T.mv(a, b[0]); T.dot(a[0], b[0]); T.inner(a, b); T.outer(a[0], b[0]); T.tensordot(a, b, 1); T.kron(a, b)
T.einsum("ij,jk->ik", a, b); T.einsum("ij->i", a); T.einsum("ij,ij->ij", a, b);
T.einsum("ij,jk,kl->il", a, b, a); T.addmv(a[0], a, b[0]); T.addr(a, a[0], b[0])
T.addbmm(a, a[None], b[None]); T.matrix_power(a, 3)
T.chain_matmul(a, b, a); T.linalg.multi_dot([a, b, a]); T.linalg.vecdot(a, b); T.cross(a, b, dim=1)
T.vstack([a, b]); T.dstack([a, b]); T.column_stack([a, b]); T.block_diag(a, b); T.where(a > 0, a, b)
T.atan2(a, b); T.pow(a.abs(), b); T.lerp(a, b, 0.5); T.maximum(a, b); T.fmod(a, b); a.clamp(b, b + 1)
T.addcmul(a, a, b); T.addcdiv(a, a, b); a.index_put((T.tensor([0]),), b[:1]);
a.index_add(0, T.tensor([0]), b[:1]); F.smooth_l1_loss(a, b); F.huber_loss(a, b)
F.soft_margin_loss(a, b.sign());
F.poisson_nll_loss(a, b); F.gaussian_nll_loss(a, b, b.abs()); F.hinge_embedding_loss(a, b.sign())
F.kl_div(a, b)
F.triplet_margin_loss(a, b, a); F.multilabel_soft_margin_loss(a, b.abs()); F.multi_margin_loss(a, at)
F.cross_entropy(a, b.softmax(-1)); F.cross_entropy(a, at, weight=b[0].abs()); F.nll_loss(a, at)
F.layer_norm(a, (3,), b[0], b[1]); F.rms_norm(a, (3,), b[0]); F.group_norm(a, 3, b[0], b[1])
F.normalize(a)
a.norm(1, dim=0); T.linalg.matrix_norm(a); a.prod(); a.prod(dtype=T.bfloat16); a.cumprod(0);
a.sum(dtype=T.float64); T.softmax(a, -1, dtype=T.float32); a.logsumexp(0); a.var(); a.std(0); T.cov(a)
T.renorm(a, 2, 0, 1.0)
F.conv_transpose1d(a[None], b[None], b[0]); F.conv_transpose2d(a[None, None], b[None, None], b[0, :1])
F.avg_pool3d(a[None, None], (1, 2, 2)); F.adaptive_avg_pool3d(a[None, None], 1);
F.max_pool3d(a[None, None], 1); F.interpolate(a[None, None], scale_factor=2, mode="bilinear")
F.pad(a[None], (1, 1), mode="replicate")
T.linalg.pinv(a); T.pinverse(a); T.linalg.pinv(a + a.mT, hermitian=True); T.linalg.lstsq(a, b).solution
T.linalg.inv(a); T.linalg.svdvals(a); T.linalg.eigvalsh(a + a.mT); T.trace(a); T.quantile(a, 0.5)
"""
PAIRS = "f4 f4, b2 b2, f2 f2, f4 b2, b2 f4, f2 b2, f4 f8, f8 f8"
DTYPES = {"f4": "float32", "b2": "bfloat16", "f2": "float16", "f8": "float64"}

# Layers, trained and in evaluation, in both regions; after the bar what they are given.
LAYERS = """
nn.Conv2d(2, 3, 2, padding=1, padding_mode="reflect") | x.reshape(1, 2, 3, 4)
nn.ConvTranspose2d(2, 3, 2) | x.reshape(1, 2, 3, 4)
nn.BatchNorm2d(2) | x.reshape(1, 2, 3, 4).bfloat16()
nn.InstanceNorm2d(2, affine=True, track_running_stats=True) | x.reshape(1, 2, 3, 4)
nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1)) | x.reshape(1, 2, 3, 4)
nn.LayerNorm(4) | x.bfloat16()
nn.RMSNorm(4) | x.bfloat16()
nn.EmbeddingBag(5, 3) | T.tensor([[0, 2]])
nn.RNN(4, 4, nonlinearity="relu", num_layers=2) | x
nn.LSTM(4, 4, proj_size=2) | x
nn.GRU(4, 4, bidirectional=True, batch_first=True) | x
nn.GRU(4, 4) | x, T.zeros(1, 3, 4)
nn.LSTMCell(4, 4) | x[0]
nn.MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True) | x, x, x
nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True) | x
nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True, norm_first=True, activation="gelu") | x
nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True), 2, nn.LayerNorm(4)) | x
nn.TransformerDecoderLayer(4, 2, 8, dropout=0.0) | x, x
nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)) | x
nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.GELU(), nn.Linear(3, 2), nn.LogSoftmax(-1)) | x
"""

SCALERS = """
[asked(lambda n=n: getattr(off, f"get_{n}")()) for n in NUMBERS]
[off.get_scale(), off._get_growth_tracker(), off.state_dict(), off.is_enabled(), asked(off._get_scale_async)]
[off.set_growth_factor(3.0), off.get_growth_factor(), off.load_state_dict({}), off.scale("x")]
[sorted(vars(pickle.loads(pickle.dumps(off)))), sorted(vars(copy.deepcopy(off)))]
[asked(off._check_inf_per_device, used), asked(off._found_inf_per_device, used)]
[off.unscale_(used), off.step(used), off.step(used), off.update(), off.update(3.0)]
[asked(on.scale, v) for v in (3.0, None, 1)]
[on.scale(T.ones(2).to(d)) for d in (T.float16, T.bfloat16, T.float64, T.int64, T.complex64)]
[asked(on.step, used), asked(on.unscale_, used), asked(on.update), asked(on.update, 2.0)]
[on.scale(T.ones(1)), asked(on.update), on.update(3.0), on.get_scale()]
[on.scale(T.ones(1)), asked(on.step, used, closure=len), asked(on.unscale_, used), asked(on.unscale_, used)]
[on.scale(T.ones(1)), [*on._check_inf_per_device(used).values()], used.param_groups[0]["params"][0].grad]
[on.scale(T.ones(1)), on.unscale_(used), asked(pickle.dumps, on), on._per_optimizer_states[id(used)]["stage"]]
[asked(on.load_state_dict, s) for s in ({}, {"scale": 1.0}, [], None)]
[(o.name, o.value) for o in T.amp.grad_scaler.OptState]
[asked(T.amp.GradScaler, "cpu", **k) for k in ({"growth_factor": 1.0}, {"backoff_factor": 2.0}, {"foo": 1})]
[vars(getattr(T.optim, n)([T.ones(1)], fused=True))["_step_supports_amp_scaling"] for n in FUSED]
["_step_supports_amp_scaling" in vars(getattr(T.optim, n)([T.ones(1)])) for n in FUSED]
[[asked(T._amp_foreach_non_finite_check_and_unscale_, *a), *a] for a in UNSCALE(T)]
[asked(T._amp_update_scale_, *a) for a in UPDATE(T)]
"""
NUMBERS = ("growth_factor", "backoff_factor", "growth_interval")
FUSED = ("SGD", "Adam", "AdamW", "Adagrad")


def UNSCALE(T: Any) -> list[tuple]:
    """Arguments that are refused, and some that are not."""
    one, zero = T.ones(()), T.zeros(())
    grads = ([], T.ones(2), [None], [T.ones(2, dtype=T.int64)], [T.ones(2, dtype=T.complex64)])
    numbers = ((zero.double(), one), (zero, one.half()), (T.zeros(2), one), (zero, T.ones(2)))
    bad = [T.tensor([1.0, float("inf")])]
    refused = [(g, zero, one) for g in grads] + [([T.ones(2)], *n) for n in numbers]
    mixed = [T.ones(2), T.ones(3).half(), T.ones(2, 2).double()]
    return [*refused, (bad, T.zeros(1), one / 2), (mixed, zero.clone(), one / 2)]


def UPDATE(T: Any) -> list[tuple]:
    """Arguments of all kinds: a scale, a count, a flag, and the numbers."""
    f, i, numbers = T.tensor(4.0), T.tensor(1, dtype=T.int32), (2.0, 0.5, 2)
    good = [(T.tensor([4.0]), i.clone(), T.zeros(1)), (f.clone(), i.clone(), T.tensor(float("nan")))]
    bad = [
        (f, i.long(), f),
        (f.double(), i, f),
        (f, i, f.double()),
        (T.ones(2), i, f),
        (f, i, T.ones(2)),
        (f,),
    ]
    rest = [(2.0, 0.5, 3.0), (None, 0.5, 3), (2, 0, 1)]
    return [(*g, *numbers) for g in good + bad] + [(f.clone(), i.clone(), T.zeros(()), *r) for r in rest]


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().replace("; ", "\n").splitlines()]


def played(torch: Any, function: Any) -> None:
    ends = []
    for library in (torch, devtensor):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ends.append(function(library))
        left = state(library)
        library.set_autocast_enabled("cpu", False)
        ends[-1] = [ends[-1], left]
    agree(*ends)


def given(T: Any, **more: Any) -> dict[str, Any]:
    names = dict(T=T, nn=T.nn, F=T.nn.functional, state=lambda _: state(T), asked=asked)
    names |= dict(
        under=under, pickle=pickle, copy=copy, NUMBERS=NUMBERS, FUSED=FUSED, UNSCALE=UNSCALE, UPDATE=UPDATE
    )
    return names | more


@pytest.mark.parametrize("line", API.strip().splitlines())
@pytest.mark.filterwarnings("ignore")
def test_calls(torch, line):
    played(torch, lambda T: eval(line, given(T)))


@pytest.mark.parametrize("line", lines(FUNCTIONS))
@pytest.mark.filterwarnings("ignore")
def test_functions(torch, line):
    """The result, or the kind of error, for pairs of dtypes in regions of both halves."""

    def play(T: Any) -> list:
        made = []
        for pair in PAIRS.split(", "):
            a, b = (drawn(T, 3, 3, seed=k).to(getattr(T, DTYPES[d])) for k, d in enumerate(pair.split()))
            names = given(T, a=a, b=b, at=T.tensor([0, 1, 2]))
            for half in (T.bfloat16, T.float16):
                result = asked(under, T, lambda names=names: eval(line, names), dtype=half)
                made.append(result if isinstance(result, Exception) else [result.dtype, result.shape])
        return made

    played(torch, play)


@pytest.mark.parametrize("line", LAYERS.strip().splitlines())
@pytest.mark.filterwarnings("ignore")
def test_layers(torch, line):
    """Results trained and in evaluation, and the dtypes of gradients and buffers."""
    layer, inputs = line.split(" | ")

    def play(T: Any) -> list:
        made = []
        for half in (T.bfloat16, T.float16):
            module = eval(layer, given(T))
            with T.no_grad():
                for k, p in enumerate(module.parameters()):
                    p.copy_(drawn(T, *p.shape, seed=k) * 0.5)
            called = eval(f"lambda x: module({inputs})", given(T, module=module))
            x = drawn(T, 2, 3, 4)
            trained = under(T, lambda called=called, x=x: called(x), dtype=half)
            first = trained[0] if isinstance(trained, tuple) else trained
            first.float().sum().backward()
            grads = [None if p.grad is None else p.grad.dtype for p in module.parameters()]
            module.eval()
            with T.no_grad():
                made += [trained, grads, under(T, lambda called=called, x=x: called(x), dtype=half)]
            made += [[b.dtype for b in module.buffers()]]
        return made

    played(torch, play)


@pytest.mark.parametrize("line", SCALERS.strip().splitlines())
@pytest.mark.filterwarnings("ignore")
def test_scalers(torch, line):
    """`on` and `off` are scalers, `used` an optimizer whose parameter has a gradient."""

    def play(T: Any) -> Any:
        p = T.nn.Parameter(drawn(T, 3))
        p.grad = drawn(T, 3, seed=1)
        scalers = {flag: T.amp.GradScaler("cpu", 8.0, enabled=flag) for flag in (True, False)}
        return eval(line, given(T, on=scalers[True], off=scalers[False], used=T.optim.SGD([p], lr=0.1)))

    played(torch, play)
