"""Autocast and GradScaler against PyTorch on the CPU: an optional run (--oracle torch).

Ops are those of `torch.testing._internal`'s op_db, which needs the package expecttest beside PyTorch.
"""

from __future__ import annotations

import pickle
import random
import tomllib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import devtensor
from opinfo import carrying
from opinfo.carrying import NotComparable, carried, counterpart, flat
from opinfo.test_opinfo import full_name, left_out

TABLE = tomllib.loads((Path(__file__).parent / "different.toml").read_text())
HALVES = ["bfloat16", "float16"]
SAMPLES = 4
# How a sample's float32 tensors, counted from 0, are handed over.
GIVEN: dict[str, Callable[[int], bool | None]] = {
    "as they are": lambda place: False,
    "halves": lambda place: True,
    "the first a half": lambda place: place == 0,
    "the first wide": lambda place: place > 0,
    "float64": lambda place: None,
}


def pytest_generate_tests(metafunc: Any) -> None:
    if "entry" not in metafunc.fixturenames:
        return
    entries: list[Any] = []
    if metafunc.config.getoption("--oracle") == "torch":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch
            from torch.testing._internal.common_methods_invocations import op_db
        entries = [e for e in op_db if not left_out(e) and torch.float32 in e.supported_dtypes("cpu")]
    metafunc.parametrize("entry", entries, ids=[full_name(entry) for entry in entries])


def replaced(value: Any, change: Callable) -> Any:
    """Nested arguments with each tensor changed."""
    if isinstance(value, carrying.torch.Tensor):
        return change(value)
    if isinstance(value, (list, tuple)) and not isinstance(value, carrying.torch.Size):
        return type(value)(replaced(item, change) for item in value)
    if isinstance(value, dict):
        return {key: replaced(item, change) for key, item in value.items()}
    return value


def handed(sample: Any, rule: Callable, half: Any) -> tuple:
    """A sample's arguments with its float32 tensors in the dtypes that a rule of GIVEN says."""
    torch, places = carrying.torch, iter(range(99))

    def change(tensor: Any) -> Any:
        if tensor.dtype is not torch.float32:
            return tensor
        low = rule(next(places))
        return tensor.to(torch.float64 if low is None else half if low else torch.float32)

    return replaced((sample.input, *sample.args), change), replaced(dict(sample.kwargs), change)


def dtypes_of(result: Any) -> list[str]:
    """The dtypes of all tensors in a result, by name."""
    found = flat(list(result) if isinstance(result, tuple) else result)
    tensors = [t for t in found if isinstance(t, (carrying.torch.Tensor, devtensor.Tensor))]
    return [str(t.dtype).split(".")[-1] for t in tensors]


def samples_of(entry: Any) -> list:
    carrying.torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)
    drawn = entry.sample_inputs("cpu", carrying.torch.float32, requires_grad=False)
    return [sample for sample, _ in zip(drawn, range(SAMPLES), strict=False)]


def differences(entry: Any, ours: Callable) -> Iterator[str]:
    """Where the dtypes of the results differ; what PyTorch refuses may be accepted."""
    torch = carrying.torch
    for sample in samples_of(entry):
        for half in HALVES:
            for how, rule in GIVEN.items():
                args, kwargs = handed(sample, rule, getattr(torch, half))
                try:
                    own_args, own_kwargs = carried(tuple(args), {}), carried(dict(kwargs), {})
                    with torch.autocast("cpu", dtype=getattr(torch, half)):
                        wanted = dtypes_of(entry.op(*args, **kwargs))
                except (NotComparable, RuntimeError, TypeError, ValueError, IndexError, NotImplementedError):
                    continue
                with devtensor.autocast("cpu", dtype=getattr(devtensor, half)):
                    try:
                        found: Any = dtypes_of(ours(*own_args, **own_kwargs))
                    except (devtensor.core.errors.DevtensorError, TypeError) as error:
                        found = f"{type(error).__name__}: {error}"[:150]
                if found != wanted:
                    yield f"{how}, region of {half}: PyTorch gives {wanted}, ours {found}"


@pytest.mark.filterwarnings("ignore")
def test_dtypes_of_results(entry, torch):
    carrying.use(torch)
    torch.set_num_threads(1)
    try:
        ours = counterpart(entry)
    except AttributeError:
        assert entry.name in TABLE["missing"]
        return
    found = list(differences(entry, ours))
    known = TABLE["different"].get(full_name(entry))
    if known is None:
        assert not found, "\n".join(found[:8])
    else:
        assert found, f"{full_name(entry)} agrees: take it out of tests/amp/different.toml ({known})"


# Modules by what makes them and what they are called with.
MODULES = {
    "Linear": ("nn.Linear(4, 3)", [(2, 4)]),
    "Bilinear": ("nn.Bilinear(4, 4, 3)", [(2, 4), (2, 4)]),
    "Conv2d": ("nn.Conv2d(2, 3, 3)", [(2, 2, 5, 5)]),
    "ConvTranspose2d": ("nn.ConvTranspose2d(2, 3, 3)", [(2, 2, 5, 5)]),
    "BatchNorm2d": ("nn.BatchNorm2d(2)", [(2, 2, 5, 5)]),
    "LayerNorm": ("nn.LayerNorm(4)", [(2, 4)]),
    "GroupNorm": ("nn.GroupNorm(2, 4)", [(2, 4, 5)]),
    "InstanceNorm2d": ("nn.InstanceNorm2d(2, affine=True)", [(2, 2, 5, 5)]),
    "PReLU": ("nn.PReLU()", [(2, 4)]),
    "GELU": ("nn.GELU()", [(2, 4)]),
    "Softmax": ("nn.Softmax(-1)", [(2, 4)]),
    "RNN": ("nn.RNN(4, 3)", [(5, 2, 4)]),
    "RNNCell": ("nn.RNNCell(4, 3)", [(2, 4)]),
    "LSTM": ("nn.LSTM(4, 3, 2, bidirectional=True)", [(5, 2, 4)]),
    "LSTM with projections": ("nn.LSTM(4, 3, proj_size=2)", [(5, 2, 4)]),
    "LSTMCell": ("nn.LSTMCell(4, 3)", [(2, 4)]),
    "GRU": ("nn.GRU(4, 3, batch_first=True)", [(5, 2, 4)]),
    "GRUCell": ("nn.GRUCell(4, 3)", [(2, 4)]),
    "MultiheadAttention": ("nn.MultiheadAttention(4, 2)", [(5, 2, 4)] * 3),
    "TransformerEncoderLayer": ("nn.TransformerEncoderLayer(4, 2, 8, 0.0)", [(5, 2, 4)]),
    "TransformerDecoderLayer": ("nn.TransformerDecoderLayer(4, 2, 8, 0.0)", [(5, 2, 4)] * 2),
    "Transformer": ("nn.Transformer(4, 2, 1, 1, 8, 0.0)", [(5, 2, 4)] * 2),
    "small net": (
        "nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(3), nn.Flatten(), "
        "nn.Linear(4, 3), nn.LogSoftmax(-1))",
        [(2, 2, 5, 5)],
    ),
    "Upsample": ("nn.Upsample(scale_factor=2)", [(2, 2, 5, 5)]),
    "ReflectionPad2d": ("nn.ReflectionPad2d(1)", [(2, 2, 5, 5)]),
    "ReplicationPad1d": ("nn.ReplicationPad1d(1)", [(2, 4, 5)]),
    "MaxPool3d": ("nn.MaxPool3d(2)", [(2, 2, 4, 4, 4)]),
    "AdaptiveAvgPool3d": ("nn.AdaptiveAvgPool3d(1)", [(2, 2, 4, 4, 4)]),
    "CosineSimilarity": ("nn.CosineSimilarity()", [(2, 4)] * 2),
    "PairwiseDistance": ("nn.PairwiseDistance()", [(2, 4)] * 2),
    **{
        name: (f"nn.{name}()", [(2, 4)] * count)
        for count, names in (
            (2, "MSELoss L1Loss SmoothL1Loss HuberLoss KLDivLoss PoissonNLLLoss HingeEmbeddingLoss "
             "SoftMarginLoss BCEWithLogitsLoss MultiLabelSoftMarginLoss CrossEntropyLoss"),
            (3, "TripletMarginLoss MarginRankingLoss GaussianNLLLoss TripletMarginWithDistanceLoss"),
        )
        for name in names.split()
    },
}  # fmt: skip


# What PyTorch's CPU may refuse under autocast: mixed weights, and recurrent layers in float16.
REFUSED = [("Bilinear", "half"), ("LSTM", "float32"), ("LSTM", "half")]


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("given", ["float32", "half"])
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore")
def test_modules(torch, name, given, half):
    """Dtypes of what a module gives, of its inputs' gradients and of its parameters'."""
    made, shapes = MODULES[name]
    ends = []
    for library in (torch, devtensor):
        library.manual_seed(0)
        nn = library.nn
        low = getattr(library, half)
        module = eval(made, {"nn": nn})
        dtype = low if given == "half" else library.float32
        inputs = [(library.rand(*shape) * 0.5 + 0.2).to(dtype) for shape in shapes]
        leaves = [inputs[0].requires_grad_(), *module.parameters()]
        try:
            with library.autocast("cpu", dtype=low):
                found = module(*inputs)
        except RuntimeError:
            # PyTorch's CPU has no kernel for it; ours may have.
            assert library is torch and (name, given) in REFUSED
            return
        tensors = [t for t in flat(found) if isinstance(t, library.Tensor)]
        sum(t.float().sum() for t in tensors).backward()
        ends.append([str(t.dtype).split(".")[-1] for t in tensors])
        ends[-1] += [str(t.grad.dtype).split(".")[-1] for t in leaves]
    assert ends[0] == ends[1]


@pytest.mark.parametrize("factors", [(2.0, 0.5, 7), (1.37, 0.71, 3), (1.001, 0.999, 1), (4.0, 0.25, 3)])
@pytest.mark.filterwarnings("ignore")
def test_schedule_of_scales(torch, factors):
    """The same scales, bit for bit, over 2000 steps with inf and NaN at chosen ones."""
    growth, backoff, interval = factors
    bad = np.random.default_rng(3).choice([0.0, np.inf, -np.inf, np.nan], 2000, p=[0.9, 0.04, 0.03, 0.03])
    ends = []
    for library in (torch, devtensor):
        p = library.ones(2, requires_grad=True)
        optimizer = library.optim.SGD([p], lr=0.1)
        scaler = library.amp.GradScaler("cpu", 2.0**13, growth, backoff, interval)
        scales = []
        for number in bad:
            scaler.scale(library.zeros(()))
            p.grad = library.tensor([1.0, float(number)])
            scaler.step(optimizer)
            scaler.update()
            scales.append((scaler.get_scale(), scaler._get_growth_tracker()))
        ends.append((scales, scaler.state_dict(), p.tolist()))
    assert ends[0] == ends[1]
    assert len({scale for scale, _ in ends[0][0]}) > 10


STEPS = {
    "clipping between": "scaler.unscale_(o); clip(ps, 0.5); scaler.step(o); scaler.update()",
    "scale set by hand": "scaler.step(o); scaler.update(32.0); scaler.scale(loss(ps)).backward(); "
    "scaler.step(o); scaler.update(library.tensor(8.0))",
    "two losses": "[part.backward() for part in scaler.scale([loss(ps), loss(ps)])]; scaler.step(o); "
    "scaler.update()",
    "unscale twice": "scaler.unscale_(o); scaler.unscale_(o)",
    "unscale after step": "scaler.step(o); scaler.unscale_(o)",
    "step twice": "scaler.step(o); scaler.step(o)",
    "closure": "scaler.step(o, closure=lambda: 0)",
    "update without a check": "scaler.update()",
    "no scale before step": "library.amp.GradScaler('cpu').step(o)",
    "no scale before update": "library.amp.GradScaler('cpu').update()",
    "no scale before unscale_": "library.amp.GradScaler('cpu').unscale_(o)",
    "no gradients": "o.zero_grad(); scaler.step(o)",
    "half gradients": "ps[0].data = ps[0].data.half(); ps[0].grad = None; "
    "ps[0].grad = library.ones(2).half(); scaler.step(o)",
    "scale of text": "scaler.scale(3)",
    "new scale of two": "scaler.update(library.ones(2))",
    "empty state": "scaler.load_state_dict({})",
    "pickle in between": "scaler.step(o); pickle.dumps(scaler)",
    "state": "scaler.step(o); scaler.update(); seen.append(scaler.state_dict())",
    "flags": "scaler.unscale_(o); seen.append([v.item() for v in scaler._found_inf_per_device(o).values()]); "
    "seen.append([v.item() for v in scaler._check_inf_per_device(o).values()])",
    "disabled": "s = library.amp.GradScaler('cpu', enabled=False); seen.append((s.get_scale(), "
    "s.state_dict(), s.is_enabled(), s._get_growth_tracker())); s.unscale_(o); s.step(o); s.update()",
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.filterwarnings("ignore")
def test_steps_and_misuse(torch, name):
    """Weights, scales and kinds of errors after the same lines."""
    ends = []
    for library in (torch, devtensor):
        ps = [library.tensor([1.0, -2.0], requires_grad=True), library.tensor([3.0], requires_grad=True)]
        o = library.optim.SGD(ps, lr=0.1, momentum=0.9)
        scaler = library.amp.GradScaler("cpu", init_scale=16.0)
        loss = lambda ps: sum((p * p).sum() for p in ps)  # noqa: E731
        scaler.scale(loss(ps)).backward()
        clip, seen = library.nn.utils.clip_grad_norm_, []
        scope = dict(
            library=library, ps=ps, o=o, scaler=scaler, loss=loss, clip=clip, seen=seen, pickle=pickle
        )
        try:
            exec(STEPS[name], scope)
            failed: Any = None
        except Exception as error:
            failed = error
        ends.append((failed, [p.tolist() for p in ps], scaler.get_scale(), seen))
    (wanted, *theirs), (found, *ours) = ends
    assert isinstance(found, type(wanted)), f"PyTorch: {wanted!r}; ours: {found!r}"
    np.testing.assert_allclose(flat(theirs[0]), flat(ours[0]), rtol=1e-6)
    assert theirs[1:] == ours[1:]


REGIONS = [
    "autocast('nowhere')",
    "autocast('meta', dtype=torch.float16)",
    "autocast(3)",
    "autocast(torch.device('cpu'))",
    "autocast()",
    "autocast('cpu')(3)",
    "autocast('cpu', dtype=torch.float32)",
    "autocast('cpu', dtype=torch.int64)",
    "autocast('cpu', dtype=torch.float64, enabled=False)",
    "autocast('cuda')",
    "autocast('cuda', enabled=False)",
    "autocast('mps')",
    "autocast('xpu')",
    "is_autocast_enabled()",
    "is_autocast_enabled('cpu')",
    "is_autocast_enabled('nowhere')",
    "is_autocast_enabled('meta')",
    "is_autocast_enabled(3)",
    "get_autocast_dtype('cpu')",
    "get_autocast_dtype('cuda')",
    "get_autocast_dtype('mps')",
    "get_autocast_dtype('xpu')",
    "get_autocast_dtype('meta')",
    "get_autocast_dtype(3)",
    "get_autocast_cpu_dtype()",
    "get_autocast_gpu_dtype()",
    "is_autocast_cpu_enabled()",
    "set_autocast_dtype('cpu', 3)",
    "set_autocast_dtype('nowhere', torch.float16)",
    "set_autocast_cache_enabled(3)",
    "is_autocast_cache_enabled()",
    "amp.is_autocast_available('cpu')",
    "amp.is_autocast_available('cuda')",
    "amp.is_autocast_available('meta')",
    "amp.is_autocast_available('nowhere')",
    "amp.is_autocast_available(3)",
    "autocast_increment_nesting() - autocast_decrement_nesting()",
    "cuda.amp.autocast()",
    "cpu.amp.autocast()",
    "cuda.amp.GradScaler()",
    "cpu.amp.GradScaler()",
    "amp.GradScaler()",
    "amp.GradScaler('cpu', growth_factor=1.0)",
    "amp.GradScaler('cpu', backoff_factor=1.0)",
    "amp.custom_fwd(lambda x: x)",
    "amp.custom_fwd(lambda x: x, device_type=3)",
    "amp.custom_bwd(lambda x: x, device_type='cpu')",
    "cuda.amp.custom_fwd(lambda x: x)",
    "cuda.amp.custom_bwd(lambda x: x)",
]


@pytest.mark.parametrize("line", REGIONS)
def test_calls_warnings_and_errors(torch, line):
    """The kind of what a call gives, its warnings' categories in order, or its kind of error."""
    ends = []
    for library in (torch, devtensor):
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            try:
                scope = {name: getattr(library, name) for name in dir(library) if "autocast" in name}
                scope |= {name: getattr(library, name) for name in ("autocast", "amp", "cuda", "cpu")}
                head = line.split("(")[0]
                if "." not in head:
                    scope[head] = getattr(library, head)
                names = ("autocast_increment_nesting", "autocast_decrement_nesting")
                scope |= {name: getattr(library, name) for name in names}
                made = eval(line, scope | {"torch": library})
                told: Any = str(made).split(".")[-1] if not hasattr(made, "__dict__") else type(made).__name__
            except Exception as error:
                told = error
        ends.append((told, [w.category for w in heard]))
    (wanted, warned), (found, ours) = ends
    assert warned == ours
    if isinstance(wanted, Exception):
        assert isinstance(found, type(wanted)), f"PyTorch: {wanted!r}; ours: {found!r}"
    else:
        assert found == wanted
