"""Dual tensors: tangents against closed forms, through functions, leaves and levels."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor
from devtensor.autograd import forward_ad
from devtensor.func import functionalize

X, V = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0])


def dual():
    return forward_ad.make_dual(devtensor.tensor(X), devtensor.tensor(V))


def test_tangents_follow_the_chain_rule():
    with forward_ad.dual_level():
        value, tangent = forward_ad.unpack_dual((dual().sin() * dual()).sum())
    np.testing.assert_allclose(value.item(), (np.sin(X) * X).sum())
    np.testing.assert_allclose(tangent.item(), ((np.cos(X) * X + np.sin(X)) * V).sum())
    assert not value.requires_grad and not tangent.requires_grad


def test_a_dual_hands_out_what_it_was_made_of_and_others_no_tangent():
    with forward_ad.dual_level():
        x = dual()
        value, tangent = forward_ad.unpack_dual(x)
        assert value.tolist() == X.tolist() and tangent.tolist() == V.tolist()
        assert forward_ad.unpack_dual(x.detach()).tangent is None
        assert forward_ad.unpack_dual(devtensor.ones(2)).tangent is None
        assert forward_ad.unpack_dual(devtensor.ones(2, requires_grad=True) * 2).tangent is None
        made = x * 2
    assert forward_ad.unpack_dual(made).tangent is None


def test_tangents_are_differentiable_by_leaves():
    w = devtensor.tensor(X, requires_grad=True)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual((dual() ** 2 * w).sum()).tangent
        np.testing.assert_allclose(devtensor.autograd.grad(tangent, w)[0].numpy(), 2 * X * V)
        moved = forward_ad.make_dual(w, devtensor.tensor(V))
        tangent = forward_ad.unpack_dual((moved**3).sum()).tangent
        np.testing.assert_allclose(devtensor.autograd.grad(tangent, w)[0].numpy(), 6 * X * V)


def test_refusals():
    one = devtensor.ones(2)
    with pytest.raises(RuntimeError, match="no level exists"):
        dual()
    with pytest.raises(RuntimeError, match="exit"):
        forward_ad.exit_dual_level()
    with forward_ad.dual_level():
        with pytest.raises(RuntimeError, match="Nested"):
            forward_ad.enter_dual_level()
        for pair in ((one.long(), one), (one, one.long())):
            with pytest.raises(ValueError, match="floating point or complex"):
                forward_ad.make_dual(*pair)
        with pytest.raises(RuntimeError, match="shape"):
            forward_ad.make_dual(one, devtensor.ones(3))


def test_functionalize_changes_no_result():
    def function(x):
        y = x.clone()
        y[0] = 7.0
        return y * 2

    x = devtensor.tensor([1.0, 2.0])
    for remove in ("mutations", "mutations_and_views"):
        assert functionalize(function, remove=remove)(x).tolist() == [14.0, 4.0]
    with pytest.raises(RuntimeError, match="Valid options"):
        functionalize(function, remove="all")


def test_the_tangent_given_is_the_one_handed_out_unless_it_lies_otherwise():
    primal, along = devtensor.ones(2, 3), devtensor.arange(6.0)
    with forward_ad.dual_level():
        tangent = along.reshape(2, 3)
        assert forward_ad.unpack_dual(forward_ad.make_dual(primal, tangent)).tangent is tangent
        turned = along.reshape(3, 2).T
        found = forward_ad.unpack_dual(forward_ad.make_dual(primal, turned)).tangent
        assert found is not turned and found.stride() == (3, 1) and found.tolist() == turned.tolist()
        written = forward_ad.make_dual(primal * 1, tangent)
        product = written * 2
        assert forward_ad.unpack_dual(product).tangent.tolist() == (tangent * 2).tolist()
