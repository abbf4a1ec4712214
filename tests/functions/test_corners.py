"""Corners of PyTorch's spellings: memory of its own, rare arguments, values at infinity."""

from __future__ import annotations

import cmath
import math
import operator

import pytest

import devtensor as torch
from devtensor import nn

F = nn.functional


@pytest.mark.parametrize(
    "repeated",
    [
        lambda x: x.repeat(2, 1),
        lambda x: x.repeat(1),
        lambda x: x.tile(3, 1),
        lambda x: x[:, None].repeat_interleave(2),
        lambda x: x[:1].repeat_interleave(2, 0),
        lambda x: x.repeat_interleave(1, 0),
    ],
)
def test_repeats_lie_in_memory_of_their_own(repeated):
    x = torch.tensor([1.0, 2.0, 3.0])
    made = repeated(x)
    before = made.clone()
    made.view(-1)[0] = 9.0
    assert x.tolist() == [1.0, 2.0, 3.0]
    assert made.view(-1)[1:].tolist() == before.view(-1)[1:].tolist()


@pytest.mark.parametrize(
    "found",
    [
        lambda x: x.topk(2, 1),
        lambda x: x.kthvalue(2, 1),
        lambda x: x.kthvalue(2, 1, keepdim=True),
        lambda x: x.median(1),
        lambda x: x.median(1, keepdim=True),
    ],
)
def test_chosen_values_are_contiguous(found):
    for part in found(torch.tensor([[3.0, 1.0, 2.0, 5.0], [1.0, 2.0, 3.0, 4.0]])):
        assert part.is_contiguous()


def test_alpha_is_applied_in_the_dtype_of_the_sum():
    wide, narrow = torch.zeros(2, dtype=torch.float64), torch.tensor([1.0078125, 3.0], dtype=torch.bfloat16)
    assert torch.add(wide, narrow, alpha=3).tolist() == [3.0234375, 9.0]
    assert wide.sub(narrow, alpha=3).tolist() == [-3.0234375, -9.0]
    assert torch.rsub(narrow, wide, alpha=3).tolist() == [-3.0234375, -9.0]
    assert wide.clone().add_(narrow, alpha=3).tolist() == [3.0234375, 9.0]
    halves = torch.ones(2, dtype=torch.float16).add(torch.tensor([1, 2]), alpha=-1.5)
    assert halves.dtype is torch.float16
    assert halves.tolist() == [-0.5, -2.0]
    whole = torch.zeros(1, dtype=torch.int64).add(torch.tensor([100], dtype=torch.int8), alpha=2)
    assert whole.tolist() == [200]


@pytest.mark.parametrize("alpha, dtype", [(1.5, torch.int64), (True, torch.float32), (1j, torch.float32)])
def test_alpha_of_another_kind_than_the_result_is_refused(alpha, dtype):
    x = torch.ones(2, dtype=dtype)
    for function in (torch.add, torch.sub, torch.rsub):
        with pytest.raises(RuntimeError, match="alpha"):
            function(x, x, alpha=alpha)
    with pytest.raises(RuntimeError, match="alpha"):
        x.add_(x, alpha=alpha)


def test_alpha_may_be_a_bool_where_the_sum_is():
    assert torch.tensor([True, False]).add(torch.tensor([False, True]), alpha=False).tolist() == [True, False]


def test_fill_diagonal_wraps_below_each_square():
    found = torch.zeros(7, 3).fill_diagonal_(5, wrap=True)
    rows = [[k == 0, k == 1, k == 2] for k in (0, 1, 2, None, 0, 1, 2)]
    assert found.tolist() == [[5.0 * on for on in row] for row in rows]
    assert torch.zeros(3, 5).fill_diagonal_(1, wrap=True).tolist() == torch.eye(3, 5).tolist()


def test_fill_diagonal_of_more_dims():
    found = torch.zeros(3, 3, 3).fill_diagonal_(2)
    assert found.nonzero().tolist() == [[k, k, k] for k in range(3)]
    with pytest.raises(RuntimeError, match="equal length"):
        torch.zeros(3, 3, 2).fill_diagonal_(2)


def test_contiguous_takes_the_format_kept_where_nothing_moves():
    x = torch.arange(6.0).reshape(2, 3)
    assert x.contiguous(memory_format=torch.preserve_format) is x
    with pytest.raises(RuntimeError, match="preserve"):
        x.T.contiguous(memory_format=torch.preserve_format)


def test_quantiles_of_infinite_values():
    x = torch.tensor([1.0, -math.inf, 3.0, 2.0])
    assert x.quantile(0.5).item() == 1.5
    assert x.nanquantile(0.5).item() == 1.5
    assert torch.tensor([1.0, 2.0, math.inf]).quantile(0.5).item() == 2.0


def test_variance_with_more_taken_from_the_count_than_it_holds():
    x = torch.tensor([1.0, 3.0])
    assert x.var(correction=2).item() == math.inf
    assert x.std(correction=5).item() == math.inf
    assert math.isnan(x[:1].var().item())
    assert math.isnan(x[:0].var().item())


def test_angle_of_the_origin_has_no_slope():
    y, x = (torch.zeros(2, requires_grad=True) for _ in range(2))
    torch.atan2(y, x).sum().backward()
    assert y.grad.tolist() == [0.0, 0.0]
    assert x.grad.tolist() == [0.0, 0.0]


def test_threshold_lets_nan_through():
    x = torch.tensor([math.nan, 0.5, 2.0], requires_grad=True)
    found = F.threshold(x, 1.0, 7.0)
    assert math.isnan(found[0].item())
    assert found[1:].tolist() == [7.0, 2.0]
    found.sum().backward()
    assert x.grad.tolist() == [1.0, 0.0, 1.0]


def test_modules_become_complex():
    with pytest.warns(UserWarning, match="Complex modules"):
        layer = nn.Linear(2, 2).to(torch.complex128)
    assert layer.weight.dtype is torch.complex128
    assert layer(torch.ones(3, 2, dtype=torch.complex128)).dtype is torch.complex128
    with pytest.raises(TypeError, match="only accepts"):
        layer.to(torch.int64)


def test_vmap_over_backward_passes_of_one_graph():
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x**2
    rows = torch.vmap(lambda v: torch.autograd.grad(y, x, v)[0])(torch.eye(3))
    assert rows.tolist() == [[2.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 6.0]]
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(y, x, torch.ones(3))


def test_powers_of_zero_and_their_slopes():
    base = torch.tensor([0.0, 0.0, 2.0])
    exponent = torch.tensor([-0.5, 1.0, 1.0], requires_grad=True)
    (base**exponent).sum().backward()
    assert exponent.grad.tolist() == pytest.approx([-math.inf, 0.0, 2 * math.log(2)])


def test_relu_hands_gradients_to_nan():
    x = torch.tensor([math.nan, 1.0, 0.0, -1.0], requires_grad=True)
    x.relu().sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0, 0.0]


def test_variance_of_one_element_has_no_slope():
    x = torch.tensor([3.0], requires_grad=True)
    x.var().backward()
    assert math.isnan(x.grad.item())


def test_truth_over_no_dims_is_elementwise():
    x = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    assert x.any(dim=()).tolist() == [[False, True], [True, False]]
    assert x.all(dim=()).tolist() == [[False, True], [True, False]]
    assert x.any().item() is True


def test_integers_can_be_cast_to_unsigned_ones():
    assert torch.can_cast(torch.int64, torch.uint8)
    assert torch.can_cast(torch.uint8, torch.int8)
    assert not torch.can_cast(torch.float32, torch.int64)
    assert not torch.can_cast(torch.int64, torch.bool)


@pytest.mark.parametrize(
    "dtype, name", [("complex64", "ComplexFloatTensor"), ("complex128", "ComplexDoubleTensor")]
)
def test_complex_tensors_have_a_legacy_name(dtype, name):
    assert torch.ones(1, dtype=getattr(torch, dtype)).type().split(".")[-1] == name


def test_a_scatter_into_a_view_reaches_the_memory_before_it():
    base = torch.arange(8.0)
    view = base[1::2]
    result = torch.as_strided_scatter(view, torch.tensor([-1.0, -2.0]), (2,), (1,), 0)
    assert result.tolist() == [-2.0, 3.0, 5.0, 7.0]
    assert torch.as_strided_scatter(base[:2], torch.tensor(9.0), (), (), 7).tolist() == [0.0, 1.0]
    assert base.tolist() == list(range(8))


@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes_along_a_dim_go_into_out(name):
    x = torch.tensor([[1.0, 5.0], [7.0, 3.0]])
    out = torch.empty(2), torch.empty(2, dtype=torch.int64)
    found = getattr(torch, name)(x, 1, out=out)
    assert found[0] is out[0] and found[1] is out[1]
    assert out[0].tolist() == getattr(x, name)(1)[0].tolist()


@pytest.mark.parametrize("name, inputs", [
    ("gather", lambda x: (x, 0, torch.tensor([0, 1]))),
    ("take", lambda x: (x, torch.tensor([0, 1]))),
    ("complex", lambda x: (x, x)),
])  # fmt: skip
def test_out_of_another_dtype_is_refused(name, inputs):
    with pytest.raises(RuntimeError, match="dtype"):
        getattr(torch, name)(*inputs(torch.zeros(2)), out=torch.empty(2, dtype=torch.complex128))


def test_out_that_is_an_input_is_refused_where_places_move():
    x = torch.tensor([2, 0, 1])
    with pytest.raises(RuntimeError, match="at one place in memory"):
        torch.gather(x, 0, x.clone(), out=x)
    with pytest.raises(RuntimeError, match="at one place in memory"):
        torch.cat([x, x], out=x)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_arange_of_integers_steps_by_whole_numbers(dtype):
    kind = getattr(torch, dtype)
    assert torch.arange(0.1, -7.9, -4.0, dtype=kind).tolist() == [0, -4]
    assert torch.arange(3.1, dtype=kind).tolist() == ([0, 1, 2] if dtype == "int64" else [0, 1, 2, 3])


def test_logcumsumexp_of_complex_numbers_goes_on_from_turn_to_turn():
    x = torch.tensor([2.0 + 3.0j, 1.0 + 5.0j])
    wanted = 2 + 3j + cmath.log(1 + cmath.exp(-1 + 2j))
    assert cmath.isclose(torch.logcumsumexp(x, 0)[1].item(), wanted, rel_tol=1e-6)


def test_cross_entropy_with_every_target_ignored_has_no_gradient():
    x = torch.randn(2, 3).requires_grad_()
    target = torch.tensor([1, 1])
    torch.nn.functional.cross_entropy(x, target, ignore_index=1, label_smoothing=0.5).backward()
    assert x.grad.tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64])
@pytest.mark.parametrize("name", ["sum", "prod", "amax", "amin", "any", "cumsum", "cumprod"])
def test_reductions_lie_row_by_row(name, dtype):
    x = torch.arange(60).reshape(3, 5, 4).to(dtype).permute(2, 1, 0)
    found = getattr(x, name)(1)
    assert found.is_contiguous()
    assert torch.allclose(found, getattr(x.contiguous(), name)(1))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.layer_norm(x, (4,)),
        lambda x: F.rms_norm(x, (4,)),
        lambda x: x.roll(1, 0),
        torch.tril,
        torch.triu,
    ],
)
def test_results_lie_row_by_row_whatever_the_input_does(function):
    x = torch.randn(4, 5, 3).permute(2, 1, 0)
    found = function(x)
    assert found.is_contiguous()
    assert torch.allclose(found, function(x.contiguous()))


INTO_OUT = {
    "zeros": lambda **facts: torch.zeros(2, **facts),
    "linspace": lambda **facts: torch.linspace(0, 3, 2, **facts),
    "arange": lambda **facts: torch.arange(2, **facts),
    "full": lambda **facts: torch.full((2,), 1, **facts),
}


@pytest.mark.parametrize("name", INTO_OUT)
def test_what_is_made_into_out_has_its_dtype_or_is_refused(name):
    make = INTO_OUT[name]
    for dtype in (torch.float64, torch.int32):
        out = torch.empty(2, dtype=dtype)
        assert make(out=out) is out and out.dtype is dtype
        assert make(out=out, dtype=dtype) is out
    with pytest.raises(RuntimeError, match="does not match dtype of out"):
        make(out=torch.empty(2, dtype=torch.int32), dtype=torch.float32)


def test_a_size_is_a_sequence_of_numbers_and_adds_to_tuples_alone():
    size = torch.zeros(2, 3).shape
    assert torch.tensor(size).tolist() == [2, 3] and torch.tensor([size, size]).tolist() == [[2, 3]] * 2
    numbers = [1]
    numbers += size
    assert numbers == [1, 2, 3] and type(numbers) is list
    for pair, sum_of_both in (((size, (1,)), [2, 3, 1]), (((1,), size), [1, 2, 3])):
        assert operator.add(*pair) == tuple(sum_of_both) and type(operator.add(*pair)) is torch.Size
    for pair in ((size, [1]), ([1], size)):
        with pytest.raises(TypeError):
            operator.add(*pair)


@pytest.mark.parametrize("name", ["sign", "sgn", "floor", "ceil", "trunc", "round"])
def test_what_is_flat_hands_on_no_infinity(name):
    x = torch.tensor([0.5, -1.5], requires_grad=True)
    getattr(x, name)().backward(torch.tensor([math.inf, math.nan]))
    assert x.grad.tolist() == [0, 0]


def test_the_norm_of_a_window_of_zeros_has_no_slope():
    x = torch.tensor([[0.0, 0.0, 3.0, 4.0]], requires_grad=True)
    nn.functional.lp_pool1d(x, 2, 2).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([[0.0, 0.0, 0.6, 0.8]]))


def test_limits_are_both_tensors_whatever_their_dims():
    x, upper = torch.tensor([[0.5, -0.5]]), torch.tensor([[1.0, -2.0]])
    assert torch.clamp(x, torch.tensor(-1), upper).tolist() == [[0.5, -2.0]]
    with pytest.raises(TypeError, match="both Tensors"):
        torch.clamp(x, -1, upper)


def test_nothing_is_divided_by_zero_without_complaint():
    assert (torch.zeros(0, dtype=torch.int64) // 0).shape == (0,)
    assert torch.remainder(torch.zeros(4, 0, dtype=torch.int16), 0).shape == (4, 0)


ONE_LIMIT = {
    "randint(high, size)": lambda: torch.randint(3, (40,)),
    "randint(high=, size=)": lambda: torch.randint(high=3, size=(40,)),
    "randint(low, high, size)": lambda: torch.randint(0, 3, (40,)),
    "randint_like(x, high)": lambda: torch.randint_like(torch.zeros(40), 3),
    "randint_like(x, high=)": lambda: torch.randint_like(torch.zeros(40), high=3),
}


@pytest.mark.parametrize("name", ONE_LIMIT)
def test_a_limit_that_stands_alone_is_the_upper(name):
    assert set(ONE_LIMIT[name]().tolist()) == {0, 1, 2}


def test_integers_without_a_limit_or_a_size_are_refused():
    for wrong in (
        lambda: torch.randint_like(torch.zeros(2)),
        lambda: torch.randint(size=(2,)),
        lambda: torch.randint(3),
    ):
        with pytest.raises(TypeError, match="got no"):
            wrong()


@pytest.mark.parametrize("error", [IndexError, RuntimeError])
def test_an_index_to_add_at_that_is_outside_is_of_both_kinds(error):
    with pytest.raises(error, match="out of bounds"):
        torch.zeros(2, 3).index_add(0, torch.tensor([2]), torch.ones(1, 3))
