"""The Kullback-Leibler divergence: the formula for a pair is found by both distributions' classes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentTypeError, Unsupported
from devtensor.core.tensor import Tensor
from devtensor.distributions.distribution import Distribution

__all__ = ["kl_divergence", "register_kl"]

Formula = Callable[[Any, Any], Tensor]

_KL_REGISTRY: dict[tuple[type, type], Formula] = {}
_KL_MEMOIZE: dict[tuple[type, type], Formula | None] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Formula], Formula]:
    """A decorator: let a function of (p, q) give their divergence, also for subclasses of both.

    Errors: ArgumentTypeError for what is no class of distributions.
    """
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not isinstance(kind, type) or not issubclass(kind, Distribution):
            raise ArgumentTypeError(
                f"[register_kl] Expected {name} to be a Distribution subclass but got {kind}"
            )

    def decorator(fun: Formula) -> Formula:
        _KL_REGISTRY[type_p, type_q] = fun
        _KL_MEMOIZE.clear()
        return fun

    return decorator


def _found(type_p: type, type_q: type) -> Formula | None:
    """The formula of the nearest classes: of the nearest for p first, which should be that for q first."""
    near_p = {kind: distance for distance, kind in enumerate(type_p.__mro__)}
    near_q = {kind: distance for distance, kind in enumerate(type_q.__mro__)}
    known = [(near_p[p], near_q[q], p, q) for p, q in _KL_REGISTRY if p in near_p and q in near_q]
    if not known:
        return None
    by_p = min(known, key=lambda match: match[:2])
    by_q = min(known, key=lambda match: match[1::-1])
    formula = _KL_REGISTRY[by_p[2:]]
    if formula is not _KL_REGISTRY[by_q[2:]]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please "
            f"register_kl({by_p[2].__name__}, {by_q[3].__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return formula


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q): the mean under p of log p - log q.

    Shapes: -> the broadcast batch shape
    Errors: Unsupported for a pair without a formula.
    """
    key = type(p), type(q)
    if key not in _KL_MEMOIZE:
        _KL_MEMOIZE[key] = _found(*key)
    formula = _KL_MEMOIZE[key]
    if formula is None:
        raise Unsupported(
            f"[kl_divergence] No KL(p || q) is implemented for p type {key[0].__name__} and q type "
            f"{key[1].__name__}"
        )
    return formula(p, q)
