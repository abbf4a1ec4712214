"""One entry of PyTorch's list of modules against ours: signature, repr, values, gradients, refusals."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from typing import Any

import devtensor
import opinfo.carrying as carrying
from opinfo.carrying import DTYPES, NotComparable, carried, flat, fresh
from opinfo.checks import SAMPLES, Gradients, is_leaf
from opinfo.comparing import check_comparable, difference

# In training their results are drawn by chance.
RANDOM = frozenset(
    """
    AlphaDropout Dropout Dropout1d Dropout2d Dropout3d FeatureAlphaDropout FractionalMaxPool2d
    FractionalMaxPool3d RReLU
    """.split()  # noqa: SIM905 - a page of names reads better than a column
)


KINDS = ("signature", "repr", "refusal")


class ModuleComparison:
    """What was compared of one module, and what differed."""

    def __init__(self, entry: Any) -> None:
        self.entry = entry
        self.counts: Counter[str] = Counter()
        self.differences: list[str] = []

    def note(self, what: str, text: str | None) -> None:
        self.counts[what if what in KINDS else "calls"] += 1
        if text:
            self.differences.append(f"{what}: {text}")

    def run(self) -> ModuleComparison:
        theirs = self.entry.module_cls
        ours = getattr(devtensor.nn, theirs.__name__, None)
        if ours is None:
            self.differences.append("missing")
            return self
        wanted, found = parameters_of(theirs), parameters_of(ours)
        self.note("signature", None if wanted == found else f"{wanted}, ours {found}")
        for training in (True, False) if self.entry.train_and_eval_differ else (True,):
            for sample in self.samples(training):
                self.one(theirs, ours, sample, training)
        self.refusals(theirs, ours)
        return self

    def samples(self, training: bool) -> Iterator[Any]:
        """The entry's samples in float64, drawn from one seed."""
        torch = carrying.torch
        torch.manual_seed(7)
        dtype = torch.float64
        made = self.entry.module_inputs_func(
            self.entry, device="cpu", dtype=dtype, requires_grad=True, training=training
        )
        fed = (sample for sample in made if sample.forward_input is not None)
        return (sample for sample, _ in zip(fed, range(SAMPLES), strict=False))

    def one(self, theirs: Any, ours: Any, sample: Any, training: bool) -> None:
        """Construction, repr, values and gradients for one sample."""
        what = f"{sample.desc or 'sample'}{'' if training else ' in eval'}"
        made, given = sample.constructor_input, sample.forward_input
        leaves: dict[int, Any] = {}
        given.args, given.kwargs = fresh(given.args, leaves), fresh(given.kwargs, leaves)
        memo: dict[Any, Any] = {}
        try:
            module = theirs(*made.args, **made.kwargs).to(carrying.torch.float64).train(training)
            options = carried(tuple(made.args), memo), carried(dict(made.kwargs), memo)
            arguments = carried(tuple(given.args), memo), carried(dict(given.kwargs), memo)
            if self.entry.is_lazy:
                module(*given.args, **given.kwargs)
            state = carried(dict(module.state_dict()), {})
        except NotComparable:
            return
        try:
            mine = ours(*options[0], **options[1]).to(devtensor.float64).train(training)
            if self.entry.is_lazy:
                mine(*arguments[0], **arguments[1])
            self.note("repr", None if repr(module) == repr(mine) else f"{what}: {module}, ours {mine}")
            mine.load_state_dict(state)
            self.note(what, self.results(module, mine, sample, arguments, memo, training))
        except Exception as error:
            self.note(what, f"ours raised {type(error).__name__}: {str(error)[:200]}")

    def results(
        self, module: Any, mine: Any, sample: Any, arguments: tuple, memo: dict, training: bool
    ) -> str | None:
        """Values, then gradients to second order of inputs and parameters."""
        given = sample.forward_input
        wanted = module(*given.args, **given.kwargs)
        check_comparable(wanted)
        found = mine(*arguments[0], **arguments[1])
        chance = self.entry.module_cls.__name__ in RANDOM and training
        text = difference(wanted, found, "value", shapes_only=chance)
        if text or chance:
            return text
        memo |= {id(p): dict(mine.named_parameters())[name] for name, p in module.named_parameters()}
        leaves = [leaf for leaf in flat([given.args, given.kwargs]) if is_leaf(leaf)]
        gradients = Gradients(
            lambda: module(*given.args, **given.kwargs),
            [*leaves, *module.parameters()],
            lambda made: made,
            self.entry.supports_gradgrad,
        )
        try:
            first = gradients.theirs()
        except RuntimeError:
            # No second derivative, whatever the list says of the module.
            gradients.with_second = False
            first = gradients.theirs()
        return None if first is None else gradients.ours(mine, *arguments, memo, first)

    def refusals(self, theirs: Any, ours: Any) -> None:
        """What PyTorch refuses to build or to run, with an error of PyTorch's kind."""
        if self.entry.module_error_inputs_func is None:
            return
        cases = self.entry.module_error_inputs_func(
            self.entry, device="cpu", dtype=carrying.torch.float64, requires_grad=False, training=True
        )
        for case in cases:
            sample = case.module_error_input
            made, given = sample.constructor_input, sample.forward_input
            try:
                options = carried(tuple(made.args), {}), carried(dict(made.kwargs), {})
                arguments = None
                if given:
                    arguments = carried(tuple(given.args), {}), carried(dict(given.kwargs), {})
            except NotComparable:
                continue
            try:
                module = ours(*options[0], **options[1])
                # Tensors that were given to the constructor keep their dtype, which may be what is refused.
                module = module.to(devtensor.float64) if list(module.parameters()) else module
                if arguments is not None:
                    module(*arguments[0], **arguments[1])
                text = f"{case.error_type.__name__}; ours accepts"
            except case.error_type:
                text = None
            except Exception as error:
                text = f"{case.error_type.__name__}; ours raises {type(error).__name__}: {str(error)[:90]}"
            self.note("refusal", text)


def parameters_of(module: Any) -> list[tuple[str, str]]:
    """Names and defaults of what a constructor takes."""
    found = list(inspect.signature(module.__init__).parameters.values())[1:]
    back = {str(ours): str(theirs) for theirs, ours in DTYPES.items()}
    return [(p.name, back.get(_shown(p.default), _shown(p.default))) for p in found]


def _shown(default: Any) -> str:
    """A default as text: a function by its name, for its own text tells where it lies."""
    return default.__name__ if inspect.isfunction(default) else str(default)
