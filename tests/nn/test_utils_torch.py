"""What is done to modules, against PyTorch itself, call by call: an optional run (--oracle torch)."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import pytest

import devtensor
from devtensor.core.errors import DevtensorError

RNG = np.random.default_rng(0)
KINDS = {
    "Linear": ((4, 6), (3, 4)),
    "Conv2d": ((2, 3, 3), (1, 2, 5, 5)),
    "ConvTranspose2d": ((2, 3, 3), (1, 2, 5, 5)),
}
SCORES = RNG.normal(size=(6, 4))
# What is done to a module m; what PyTorch refuses must be refused with the same kind of error.
CALLS = """
Linear U.weight_norm(m)
Linear U.weight_norm(m, dim=1)
Linear U.weight_norm(m, dim=None)
Conv2d U.weight_norm(m)
Linear U.remove_weight_norm(U.weight_norm(m))
Linear U.remove_weight_norm(m)
Linear U.weight_norm(U.weight_norm(m))
Linear Z.weight_norm(m)
Linear Z.weight_norm(m, dim=-1)
Linear Z.weight_norm(m, dim=None)
ConvTranspose2d Z.weight_norm(m)
Linear started(Z.spectral_norm(m))
Linear started(Z.spectral_norm(m).eval())
ConvTranspose2d started(Z.spectral_norm(m, n_power_iterations=3))
Linear Z.spectral_norm(m, 'bias')
Linear Z.spectral_norm(m, n_power_iterations=0)
Linear Z.spectral_norm(m, dim=2)
Linear Z.spectral_norm(m, 'nothing')
Linear started(U.spectral_norm(m))
ConvTranspose2d started(U.spectral_norm(m))
Linear U.remove_spectral_norm(started(U.spectral_norm(m)))
Linear U.remove_spectral_norm(m)
Linear Z.orthogonal(m, use_trivialization=False)
Linear Z.orthogonal(m, orthogonal_map='matrix_exp', use_trivialization=False)
Linear Z.orthogonal(m, orthogonal_map='cayley', use_trivialization=False)
Linear Z.orthogonal(m, orthogonal_map='odd')
Linear Z.orthogonal(m, 'bias')
Linear P.remove_parametrizations(Z.weight_norm(m), 'weight')
Linear P.remove_parametrizations(Z.weight_norm(m), 'weight', False)
Linear P.remove_parametrizations(m, 'weight')
Linear P.register_parametrization(m, 'weight', L.nn.Tanh())
Linear P.register_parametrization(Z.weight_norm(m), 'weight', L.nn.Sigmoid())
Linear P.register_parametrization(m, 'weight', L.nn.Flatten(0))
Linear P.register_parametrization(m, 'nothing', L.nn.Tanh())
Linear P.transfer_parametrizations_and_params(Z.weight_norm(m), L.nn.Linear(4, 6, bias=False).double())
Linear prune.identity(m, 'weight')
Linear prune.l1_unstructured(m, 'weight', 0.3)
Linear prune.l1_unstructured(m, 'weight', 5, L.tensor(SCORES))
Linear prune.l1_unstructured(m, 'weight', 1.5)
Linear prune.l1_unstructured(m, 'weight', 100)
Linear prune.l1_unstructured(m, 'weight', 'x')
Linear prune.ln_structured(m, 'weight', 2, 2, 0)
Linear prune.ln_structured(m, 'weight', 0.5, float('inf'), -1)
Linear prune.ln_structured(m, 'bias', 1, 2, 0)
Linear prune.ln_structured(prune.l1_unstructured(m, 'weight', 4), 'weight', 2, 1, 0)
Linear prune.l1_unstructured(prune.ln_structured(m, 'weight', 2, 1, 0), 'weight', 0.5)
Linear prune.custom_from_mask(m, 'weight', L.tensor(SCORES > 0))
Linear prune.remove(prune.l1_unstructured(m, 'weight', 4), 'weight')
Linear prune.remove(m, 'weight')
Linear prune.global_unstructured([(m, 'weight'), (m, 'bias')], prune.L1Unstructured, amount=0.4) or m
Linear U.fuse_linear_bn_eval(m.eval(), L.nn.BatchNorm1d(6).double().eval())
Linear U.fuse_linear_bn_eval(m, L.nn.BatchNorm1d(6).double().eval())
Conv2d U.fuse_conv_bn_eval(m.eval(), L.nn.BatchNorm2d(3, affine=False).double().eval())
ConvTranspose2d U.fuse_conv_bn_eval(m.eval(), L.nn.BatchNorm2d(3).double().eval(), True)
""".strip().splitlines()


def started(module: Any) -> Any:
    """The module with vectors of the power method that are the same in both libraries."""
    for buffer in module.buffers():
        values = np.arange(1.0, buffer.numel() + 1)
        buffer.copy_(buffer.new_tensor((values / np.linalg.norm(values)).tolist()))
    return module


def outcome(library: Any, call: str, weights: dict[str, np.ndarray], x: np.ndarray) -> Any:
    """The result of the module after the call, gradients, and what its state looks like; or the error."""
    name = library.__name__
    kind, code = call.split(" ", 1)
    module = getattr(library.nn, kind)(*KINDS[kind][0]).double()
    module.load_state_dict({key: library.tensor(value) for key, value in weights.items()})
    parts = {
        n: importlib.import_module(f"{name}.nn.utils.{n}")
        for n in ("parametrize", "parametrizations", "prune")
    }
    given = {"L": library, "U": library.nn.utils, "P": parts["parametrize"], "Z": parts["parametrizations"]}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = eval(
                code, {**given, "prune": parts["prune"], "m": module, "started": started, "SCORES": SCORES}
            )
    except (ValueError, RuntimeError, IndexError, TypeError, AssertionError) as error:
        return error
    result = made(library.tensor(x))
    (result * result).sum().backward()
    numbers = [result.detach().numpy(), *(p.grad.numpy() for p in made.parameters())]
    return numbers, [
        repr(made),
        list(made.state_dict()),
        [tuple(v.shape) for v in made.state_dict().values()],
    ]


@pytest.mark.parametrize("call", CALLS)
def test_calls(call, torch):
    sizes, shape = KINDS[call.split(" ")[0]]
    module = getattr(torch.nn, call.split(" ")[0])(*sizes)
    rng = np.random.default_rng(1)
    weights = {key: rng.normal(size=tuple(value.shape)) for key, value in module.state_dict().items()}
    x = rng.normal(size=shape)
    wanted = outcome(torch, call, weights, x)
    found = outcome(devtensor, call, weights, x)
    if isinstance(wanted, Exception):
        assert isinstance(found, DevtensorError) and isinstance(found, type(wanted)), (found, wanted)
        return
    assert not isinstance(found, Exception), found
    assert found[1] == wanted[1]
    for ours, theirs in zip(found[0], wanted[0], strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-7, 1e-9)
