"""Every op, declared once: families of declarations and nothing else."""

from devtensor.ops import combine, compare, create, elementwise, functions, index, join, linalg, random, reduce, shape, sort

FAMILIES = (combine, compare, create, elementwise, functions, index, join, linalg, random, reduce, shape, sort)
