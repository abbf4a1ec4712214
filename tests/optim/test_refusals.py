"""What optimizers refuse: hyperparameters that make no sense, parameters that are none or come twice."""

from __future__ import annotations

import pytest

import devtensor as dt
from devtensor import optim
from devtensor.core.errors import DevtensorError
from leaves import leaf

BAD = [
    (lambda: optim.Adam(leaf()), TypeError, "params argument given to the optimizer should be an iterable"),
    (lambda: optim.Adam([]), ValueError, "optimizer got an empty parameter list"),
    (
        lambda: optim.Adam([1.0]),
        TypeError,
        "optimizer can only optimize Tensors, but one of the params is float",
    ),
    (lambda: optim.Adam([leaf() * 2]), ValueError, "can't optimize a non-leaf Tensor"),
    (lambda: optim.Adam([{"params": {leaf()}}]), TypeError, "ordered collections"),
    (lambda: optim.Adam([leaf()], lr=-1), ValueError, "Invalid learning rate: -1"),
    (lambda: optim.Adam([leaf()], eps=-1e-3), ValueError, "Invalid epsilon value: -0.001"),
    (lambda: optim.Adam([leaf()], betas=(0.5, 1.0)), ValueError, "Invalid beta parameter at index 1: 1.0"),
    (lambda: optim.Adam([leaf()], betas=(0.9,)), IndexError, r"betas must be two numbers; got \(0.9,\)"),
    (lambda: optim.Adam([leaf()], betas=0.9), TypeError, "betas must be two numbers; got 0.9"),
    (lambda: optim.Adam([leaf()], betas=("a", 0.9)), TypeError, "betas must be a number; got 'a'"),
    (lambda: optim.RMSprop([leaf()], lr=None), TypeError, "lr must be a number; got None"),
    (lambda: optim.Rprop([leaf()], etas=0.5), TypeError, "etas must be two numbers; got 0.5"),
    (lambda: optim.Adafactor([leaf()], eps=1e-3), TypeError, "eps must be two numbers; got 0.001"),
    (lambda: optim.AdamW([leaf()], weight_decay=-2), ValueError, "Invalid weight_decay value: -2"),
    (lambda: optim.SGD([leaf()], momentum=-0.1), ValueError, "Invalid momentum value: -0.1"),
    (lambda: optim.SGD([leaf()], nesterov=True), ValueError, "Nesterov momentum requires a momentum"),
    (lambda: optim.SGD([leaf()], lr=dt.tensor([0.1, 0.2])), ValueError, "Tensor lr must be 1-element"),
    (lambda: optim.Adam([leaf()], lr=dt.tensor(0.1), foreach=True), ValueError, "lr as a Tensor is not supp"),
    (lambda: optim.Adam([leaf()], betas=(0.9, dt.tensor(0.9))), ValueError, "both floats or both Tensors"),
    (lambda: optim.Adam([leaf()], fused=True, foreach=True), RuntimeError, "`fused` and `foreach` cannot be"),
    (lambda: optim.Adam([leaf()], fused=True, differentiable=True), RuntimeError, "`fused` does not support"),
    (lambda: optim.NAdam([leaf()], momentum_decay=-0.2), ValueError, "Invalid momentum_decay value: -0.2"),
    (lambda: optim.Adagrad([leaf()], lr_decay=-0.5), ValueError, "Invalid lr_decay value: -0.5"),
    (lambda: optim.Adadelta([leaf()], rho=1.1), ValueError, "Invalid rho value: 1.1"),
    (lambda: optim.Rprop([leaf()], etas=(1.0, 0.5)), ValueError, "Invalid eta values: 1.0, 0.5"),
    (lambda: optim.RMSprop([leaf()], alpha=-1), ValueError, "Invalid alpha value: -1"),
    (lambda: optim.Adafactor([leaf()], eps=(-1, 0.1)), ValueError, "epsilon1 should be >= 0 but is: -1"),
    (lambda: optim.Adafactor([leaf()], d=0.0), ValueError, "Clipping threshold d should be >= 1"),
    (lambda: optim.Adafactor([leaf()], beta2_decay=0.8), ValueError, "beta2_decay should be <= 0"),
    (lambda: optim.Muon([leaf()]), ValueError, "Muon only supports 2D parameters"),
    (lambda: optim.Muon([leaf()], adjust_lr_fn="x"), ValueError, "learning rate function x is not supported"),
    (lambda: optim.LBFGS([{"params": leaf()}, {"params": leaf()}]), ValueError, "per-parameter options"),
    (lambda: optim.SparseAdam([leaf()], lr=0), ValueError, "Invalid learning rate: 0; it must be above 0"),
    (
        lambda: optim.SGD([leaf()], learning_rate=1),
        TypeError,
        "'learning_rate' is unknown; it takes lr, momentum",
    ),
    (lambda: optim.SGD([leaf()], 0.1, lr=0.1), TypeError, "'lr' is given twice"),
    (lambda: optim.SGD([leaf()], 1, 2, 3, 4, 5, 6), TypeError, "got 6 arguments"),
    (lambda: optim.SGD([leaf()]).add_param_group([leaf()]), TypeError, "param_group must be a dict"),
]


@pytest.mark.parametrize(("build", "error", "text"), BAD, ids=[text[:30] for *_, text in BAD])
def test_bad_arguments(build, error, text):
    with pytest.raises(error, match=text) as caught:
        build()
    assert isinstance(caught.value, DevtensorError)


def test_parameter_in_two_groups_is_refused_and_twice_in_one_is_told():
    p = leaf()
    with pytest.raises(ValueError, match="more than one parameter group"):
        optim.SGD([{"params": [p]}, {"params": [p]}])
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([p, p])
