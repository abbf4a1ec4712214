"""Every op in a graph: recorded on one draw, replayed on another, bit for bit what eager code gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import devtensor
from devtensor import graph
from devtensor.core.errors import TraceError
from devtensor.core.op import OPS, Op
from devtensor.core.tensor import Tensor, strides_of
from devtensor.testing.cases import Sample, as_results, cases_of, dtypes_of, entry_of, sample, to_numpy
from devtensor.testing.checks import telling

# Ops whose result has as many elements as the numbers decide: a graph of fixed shapes cannot hold them.
DATA_DEPENDENT = {"nonzero", "unique"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "op" in metafunc.fixturenames:
        metafunc.parametrize("op", [pytest.param(op, id=name) for name, op in sorted(OPS.items())])


def draws(op: Op, device: str, seed: int) -> list[Sample]:
    """Every example in the first dtype of these that it takes."""
    found = []
    for case in cases_of(op):
        known = dtypes_of(op, case, device)
        dtype = next((d for d in ("float32", "int64", "bool") if d in known), None)
        if dtype is not None:
            found.append(sample(op, case, dtype, device, seed))
    return found


def bits(results: Any) -> list[tuple]:
    return [(t.dtype, tuple(t.shape), to_numpy(t).tobytes()) for t in as_results(results)]


def laid_out(results: Any) -> list[list]:
    """The strides that say something."""
    return [telling(t.shape, strides_of(t)) for t in as_results(results)]


def function_of(drawn: Sample) -> Any:
    """The call as a function of its tensors alone."""

    def function(*tensors: Tensor) -> Any:
        given = iter(tensors)
        inputs = [next(given) if isinstance(value, Tensor) else value for value in drawn.inputs]
        return entry_of(drawn.op)(*inputs, **drawn.params)

    return function


def tensors_of(drawn: Sample) -> list[Tensor]:
    return [value for value in drawn.inputs if isinstance(value, Tensor)]


def moves(op: Op) -> bool:
    """Whether the op takes tensors from one device to another."""
    return bool(op.inputs) and any(op.markers[p].name == "Place" for p in op.parameters if p in op.markers)


def check_capture(op: Op, device: str) -> None:
    # Learnt on two draws in memory of their own, so that no argument could be memory of the function's.
    for first, again, second in zip(*(draws(op, device, seed) for seed in (1, 1, 2)), strict=True):
        program = graph.capture(function_of(first))
        for drawn in (first, again):
            assert bits(program(*tensors_of(drawn))) == bits(drawn.run()), (
                f"{drawn}: wrong while it is learnt"
            )
        assert program.replays == 0 and program.graph is not None, f"{first}: two equal runs gave no graph"
        graph.check(program.graph)
        replayed, eager = program(*tensors_of(second)), second.run()
        assert bits(replayed) == bits(eager) and laid_out(replayed) == laid_out(eager), (
            f"{second}: the replay is not eager\n{program.graph}"
        )
        assert program.replays == 1, f"{second}: the graph was not replayed"


def check_trace(op: Op, device: str) -> None:
    for drawn in draws(op, device, 2):
        tensors = tensors_of(drawn)
        specs = [graph.TensorSpec(t.shape, t.dtype, t.device) for t in tensors]
        if any(not t.is_contiguous() for t in tensors):
            continue
        traced = graph.trace(function_of(drawn), *specs)
        graph.check(traced.graph)
        assert bits(traced.run(*tensors)) == bits(drawn.run()), (
            f"{drawn}: the traced graph is not eager\n{traced}"
        )


def test_capture(op, device):
    if op.name in DATA_DEPENDENT:
        with pytest.raises(
            TraceError, match=rf"\[{op.name}\].*depends on the numbers(?s:.*)test_replay_ops.py"
        ):
            check_capture(op, device)
    else:
        check_capture(op, device)


def test_trace(op, device):
    if op.name in DATA_DEPENDENT:
        with pytest.raises(
            TraceError, match=rf"\[{op.name}\].*depends on the numbers(?s:.*)test_replay_ops.py"
        ):
            check_trace(op, device)
    elif not moves(op):
        check_trace(op, device)


def test_the_list_of_data_dependent_ops_is_this_one():
    assert {name for name, op in OPS.items() if op.data_dependent} == DATA_DEPENDENT


# What reads a tensor's numbers on the host.
HOST_READS = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool(x.sum()),
    "float": lambda x: float(x.sum()),
    "int": lambda x: int(x.sum()),
    "index": lambda x: [10, 20, 30][x.argmax(0)],
    "if": lambda x: x if x.sum() > 0 else -x,
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "array": lambda x: np.asarray(x),
    "in": lambda x: 1.0 in x,
    "mask": lambda x: x[x > 0],
    "nonzero": lambda x: x.nonzero(),
    "unique": lambda x: x.unique(),
}


@pytest.mark.parametrize("name", HOST_READS)
@pytest.mark.parametrize("how", ["capture", "trace"])
def test_host_reads_are_refused_with_the_line(name, how):
    x = devtensor.tensor([3.0, 1.0, 2.0])
    with pytest.raises(TraceError, match=r'(?s)\[\w+\].*File ".*test_replay_ops.py", line \d+'):
        if how == "trace":
            graph.trace(HOST_READS[name], x)
        else:
            graph.capture(HOST_READS[name])(x)


def test_eager_code_works_after_a_refusal():
    x = devtensor.tensor([3.0, 1.0, 2.0])
    with pytest.raises(TraceError):
        graph.capture(HOST_READS["item"])(x)
    assert x.sum().item() == 6.0


def test_a_graph_prints_its_nodes():
    traced = graph.trace(lambda x: x.exp().sum(), graph.TensorSpec((2, 3)))
    assert str(traced).splitlines() == [
        "%0: f32[2, 3] = input arg0",
        "%1: f32[2, 3] = exp(%0)",
        "%2: f32[] = sum(%1, (0, 1), False)",
        "return %2",
    ]


def test_a_graph_refuses_other_specs():
    traced = graph.trace(lambda x: x.exp(), graph.TensorSpec((2, 3)))
    with pytest.raises(
        devtensor.core.errors.GraphError, match=r"arg0 is \(3, 2\) float32 on cpu.*f32\[2, 3\]"
    ):
        traced.run(devtensor.zeros(3, 2))
