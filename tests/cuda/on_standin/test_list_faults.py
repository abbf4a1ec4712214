"""What the checks of list kernels are worth: a kernel with one fault planted must fail them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import devtensor as dt
from devtensor.core import lists
from devtensor.core.lists import LIST_OPS
from devtensor.testing.list_ops import check_list_op

pytestmark = pytest.mark.usefixtures("compiler")


def plant(monkeypatch, name, fault):
    """Let `fault(kernel, *values)` stand in for a kernel."""
    backend = dt.device("cuda").backend
    kernel = backend.list_kernels[name]
    planted = {**backend.list_kernels, name: lambda *values: fault(kernel, *values)}
    monkeypatch.setitem(backend.__dict__, "list_kernels", planted)


def without(place):
    return lambda kernel, *values: kernel(*values[:place], None, *values[place + 1 :])


def swapped(first, second):
    def fault(kernel, *values):
        given = list(values)
        given[first], given[second] = given[second], given[first]
        return kernel(*given)

    return fault


def place_of(op, name):
    return LIST_OPS[op].arguments.index(name)


def reversed_pair(op, name):
    place = place_of(op, name)
    return lambda kernel, *values: kernel(*values[:place], values[place][::-1], *values[place + 1 :])


def found_is_copied(kernel, gradients, inverse, found):
    return kernel(gradients, inverse, found.copy())


def last_is_left_out(kernel, *values):
    return kernel(*(value[:-1] if isinstance(value, list) else value for value in values))


FAULTS = {
    "the skip flag is forgotten": ("sgd_step", without(place_of("sgd_step", "found"))),
    "the scale is forgotten": ("adam_step", without(place_of("adam_step", "scale"))),
    "slots are exchanged": ("adam_step", swapped(2, 3)),
    "NAdam's product and count are exchanged": ("nadam_step", swapped(4, 5)),
    "what ASGD leaves is exchanged": ("asgd_step", swapped(4, 5)),
    "Adamax's slots are exchanged": ("adamax_step", swapped(2, 3)),
    "RAdam's betas are exchanged": ("radam_step", reversed_pair("radam_step", "betas")),
    "Rprop's etas are exchanged": ("rprop_step", reversed_pair("rprop_step", "etas")),
    "Adadelta's slots are exchanged": ("adadelta_step", swapped(2, 3)),
    "a norm is always Euclidean": ("norm_of_all", lambda kernel, tensors, order: kernel(tensors, 2.0)),
    "values are clipped nowhere": ("clamp_all", lambda kernel, gradients, limit: kernel(gradients, 9.0)),
    "the first flag stands for all": (
        "adapt_scale",
        lambda kernel, found, *values: kernel(found[:1], *values),
    ),
    "means stand for velocities": ("rmsprop_step", swapped(3, 4)),
    "what is found is told to nobody": ("unscale_all", found_is_copied),
    "the last tensor is left out": ("clip_all", last_is_left_out),
    "the last step is not counted": ("adagrad_step", last_is_left_out),
    "hyperparameters are exchanged": ("sgd_step", swapped(-2, -1)),
    "nothing is done": ("clip_all", lambda kernel, *values: None),
    "some are declined": (
        "sgd_step",
        lambda kernel, *values: kernel(*values) if values[-1] else NotImplemented,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name, monkeypatch):
    op, fault = FAULTS[name]
    plant(monkeypatch, op, fault)
    with pytest.raises(AssertionError, match=op):
        check_list_op(LIST_OPS[op], "cuda")


def test_a_version_that_does_not_rise_is_found(monkeypatch):
    monkeypatch.setattr(lists, "writable", lambda target: SimpleNamespace(version=0))
    with pytest.raises(AssertionError, match=r"\[clip_all\] .*gradients.*version went from 0 to 0"):
        check_list_op(LIST_OPS["clip_all"], "cuda")


def test_what_is_only_read_must_stay(monkeypatch):
    def spoil(kernel, *values):
        made = kernel(*values)
        values[1][0][...] = 7
        return made

    plant(monkeypatch, "sgd_step", spoil)
    with pytest.raises(AssertionError, match=r"`gradients`.*it was changed"):
        check_list_op(LIST_OPS["sgd_step"], "cuda")
