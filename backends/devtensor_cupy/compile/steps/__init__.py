"""Optimizer steps over many tensors in one launch; counts, scale and the flag that skips lie on the device.

A step whose `found` is not zero changes nothing, bit for bit. The learning rate is a number, or, at `lr_at`,
one that lies on the device. `given.py` says what a rule is; the other modules hold rules of one kind each.
"""

from __future__ import annotations

from devtensor_cupy.compile.multi_tensor import TABLE
from devtensor_cupy.compile.registry import CHUNKS, Source, family
from devtensor_cupy.compile.steps.adam_like import ADAM_LIKE
from devtensor_cupy.compile.steps.by_squares import BY_SQUARES
from devtensor_cupy.compile.steps.counts import COUNTS
from devtensor_cupy.compile.steps.descents import DESCENTS
from devtensor_cupy.compile.steps.given import AMSGRAD, CENTERED, DECOUPLED, GIVEN, MAXIMIZE, NESTEROV

__all__ = ["AMSGRAD", "CENTERED", "COUNTS", "DECOUPLED", "MAXIMIZE", "NESTEROV", "OWN", "STEPS"]

ENTRY = """
extern "C" __global__ void multi_@rule_@dtype(
    const long long* table, const double* lr_at, double lr, const float* found, const float* scale,
    @parametersdouble decay, int flags) {
    Given given = {table, lr_at ? *lr_at : lr, found, scale, decay, flags};
    stepped<@T, @Rule>(given@values);
}
"""
OWN = {
    "sgd": ("momentum", "dampening"),
    "asgd": ("lambd", "alpha", "t0"),
    "rprop": ("low", "high", "smallest", "largest"),
    "adam": ("beta1", "beta2", "eps"),
    "adamax": ("beta1", "beta2", "eps"),
    "nadam": ("beta1", "beta2", "eps", "momentum_decay"),
    "radam": ("beta1", "beta2", "eps"),
    "adagrad": ("lr_decay", "eps"),
    "rmsprop": ("alpha", "eps", "momentum"),
    "adadelta": ("rho", "eps"),
}
"""The numbers that each rule has of its own, all of them doubles."""


def step_entry(rule: str) -> str:
    """The template of a rule's entry points."""
    parameters = "".join(f"double {name}, " for name in OWN[rule])
    values = "".join(f", {name}" for name in OWN[rule])
    named = ENTRY.replace("@rule", rule).replace("@Rule", rule.capitalize())
    return named.replace("@parameters", parameters).replace("@values", values)


def steps(name: str, text: str, *rules: str) -> list[Source]:
    """The sources of some rules, one for each dtype."""
    return family(name, TABLE + GIVEN + text, "".join(map(step_entry, rules)), {"multi_": CHUNKS})


STEPS = [
    *steps("descents", DESCENTS, "sgd", "asgd", "rprop"),
    *steps("adam_like", ADAM_LIKE, "adam", "adamax", "nadam", "radam"),
    *steps("by_squares", BY_SQUARES, "adagrad", "rmsprop", "adadelta"),
]
