"""Transforms of functions: functions in, functions out, that nest in any order."""

from devtensor.func.functionalization import functionalize
from devtensor.func.jacobians import hessian, jacfwd, jacrev
from devtensor.func.mapping import vmap
from devtensor.func.modules import functional_call, stack_module_state
from devtensor.func.transforms import grad, grad_and_value, jvp, linearize, vjp

__all__ = [
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "vjp",
    "vmap",
]
