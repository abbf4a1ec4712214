"""Every op says what it does, in a sentence, and what shapes go in and come out."""

from __future__ import annotations

import re

from devtensor.core.op import OPS, Op


def check_docs(op: Op) -> None:
    lines = op.doc.splitlines()
    assert lines and lines[0].strip(), f"[{op.name}] has no docstring"
    first = op.doc.split("\n\n")[0].replace("\n", " ")
    assert re.search(r"[.;]$", first.rstrip()), f"[{op.name}] the first paragraph is no sentence: {first!r}"
    shapes = [line.strip() for line in lines if line.strip().startswith("Shapes:")]
    assert len(shapes) == 1, f"[{op.name}] needs one line 'Shapes:', has {len(shapes)}"
    check_arity(op, shapes[0].removeprefix("Shapes:").strip())


def check_arity(op: Op, line: str) -> None:
    """Left of the arrow stand the inputs by name, in order; right of it one shape per result."""
    given, arrow, result = line.partition("->")
    assert arrow and result.strip(), f"[{op.name}] 'Shapes:' has no '-> result': {line!r}"
    places = [re.search(rf"\b{name}\b", given) for name in op.inputs]
    missing = [name for name, place in zip(op.inputs, places, strict=True) if place is None]
    assert not missing, f"[{op.name}] 'Shapes:' does not name {missing}: {line!r}"
    starts = [place.start() for place in places if place]
    assert starts == sorted(starts), f"[{op.name}] 'Shapes:' names the inputs in another order: {line!r}"
    strangers = set(re.findall(r"(?<![\w*(,] )\b([a-z_][a-z_0-9]*) \(", given)) - {*op.inputs, "to", "or"}
    assert not strangers, f"[{op.name}] 'Shapes:' names {strangers}, which are no inputs: {line!r}"
    if isinstance(op.dtype_rule, tuple):
        results = re.findall(r"\([^()]*\)", result)
        assert len(results) == len(op.dtype_rule), f"[{op.name}] has {len(op.dtype_rule)} results: {line!r}"


def test_docs(op):
    check_docs(op)


def test_parameters_that_are_documented_exist():
    for op in OPS.values():
        known = {*op.inputs, *op.parameters, "exp", "inf", "nan"}
        quoted = set(re.findall(r"`([a-z_]+)`", op.doc)) - known - OPS.keys()
        assert not quoted, f"[{op.name}] the docstring quotes {quoted}, which are neither arguments nor ops"
