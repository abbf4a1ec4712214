"""Are the generated tests any good? Faults planted one at a time, in ops of each family, turn them red."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import devtensor.backend
from devtensor.core.dtype import float64
from devtensor.core.op import OPS, Op, Rule
from devtensor.core.plan import forget
from devtensor.core.rules import Types
from devtensor.ops.create import copy
from devtensor.testing import checks, strict
from devtensor.testing.cases import to_numpy
from devtensor.testing.gradients import check_gradients
from ops.test_amp import check_amp
from ops.test_docs import check_docs
from ops.test_errors import check_errors
from ops.test_inplace import check_inplace
from ops.test_values import check_values

ROOT = Path(__file__).resolve().parents[1]


def clear(op: Op) -> None:
    """Forget what was memoised of the op's declaration."""
    for table in (op.plans, op.fast, op.scalar, op.tapes):
        table.clear()


@pytest.fixture
def reddens(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Asserts that a check of an op is green, plants a fault, and asserts that the check is red."""
    touched: list[Op] = []

    def assert_red(
        check: Callable, op: Op, device: str = "cpu", *, kernel: Callable | None = None, **facts
    ) -> None:
        arguments = (op,) if check is check_docs else (op, device)
        check(*arguments)
        touched.append(op)
        for name, value in facts.items():
            monkeypatch.setattr(op, name, value)
        if kernel is not None:
            plant_kernel(monkeypatch, device, op.name, kernel)
        clear(op)
        with pytest.raises((Exception, pytest.fail.Exception)):
            check(*arguments)

    yield assert_red
    monkeypatch.undo()
    for device in devtensor.backend.names():
        forget(device)
    for op in touched:
        clear(op)


def plant_kernel(monkeypatch: pytest.MonkeyPatch, device: str, name: str, kernel: Callable) -> None:
    """Put the kernel in the place of the backend's own, as it is, also for half types."""
    backend = devtensor.backend.get(device)
    before = getattr(backend, "specialise", lambda name, kernel, dtype, all_scalar=True: kernel)

    def specialise(asked: str, given: Callable, dtype: str, all_scalar: bool = True) -> Callable:
        return kernel if asked == name else before(asked, given, dtype, all_scalar)

    monkeypatch.setattr(backend, "kernels", {**backend.kernels, name: kernel})
    monkeypatch.setattr(backend, "specialise", specialise)
    forget(device)


def own_kernel(name: str, device: str = "cpu") -> Callable:
    """The backend's own kernel."""
    return devtensor.backend.get(device).kernels[name]


def off(kernel: Callable) -> Callable:
    """A kernel whose floating-point results are a little wrong in one element."""

    def wrong(*args):
        result = kernel(*args)
        first = np.array(result[0] if isinstance(result, tuple) else result)
        if first.size and first.dtype.kind == "f":
            first.reshape(-1)[-1] = first.reshape(-1)[-1] * 1.01 + 0.01
        elif first.size:
            first.reshape(-1)[-1] ^= 1
        return (first, *result[1:]) if isinstance(result, tuple) else first

    return wrong


# An op of each family that has a kernel on the CPU.
KERNELS = [
    "add", "maximum", "neg", "floor", "eq", "logical_and", "bitwise_xor", "where", "exp", "erf", "sum",
    "amax", "argmax", "cumsum", "cat", "pad", "flip", "fold", "matmul", "gather", "scatter_add",
    "index_get", "index_put", "embedding", "tril", "sort", "searchsorted", "full", "arange", "cast",
    "overwrite", "random_uniform", "convolution", "max_pool", "softmax",
]  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_a_wrong_value(reddens, name):
    reddens(check_values, OPS[name], kernel=off(own_kernel(name)))


@pytest.mark.parametrize(
    "name", ["mean", "logsumexp", "gelu", "elu", "lerp", "layer_norm", "cross_entropy", "avg_pool"]
)
def test_a_wrong_value_in_a_body(reddens, name):
    body = OPS[name].body
    reddens(check_values, OPS[name], "strict", body=lambda *args: body(*args) * 1.001)


# An op with a formula of each family, and the input whose formula is spoilt.
FORMULAS = {
    "add": "other", "mul": "input", "maximum": "input", "exp": "input", "tanh": "input", "sum": "input",
    "amax": "input", "cumsum": "input", "permute": "input", "getitem": "input", "pad": "input",
    "flip": "input", "matmul": "other", "linear": "weight", "gather": "input", "index_put": "value",
    "embedding": "weight", "where": "other", "lerp": "weight", "sort": "input", "convolution": "weight",
    "max_pool": "input", "avg_pool": "input", "softmax": "input", "gelu": "input",
    "cross_entropy": "input", "copy": "input", "overwrite": "root",
}  # fmt: skip


def spoilt(rule: Rule, how: Callable) -> Rule:
    """The rule with its gradient changed by `how(gradient, g)`; it asks for what it asked for."""
    place = rule.needs.index("g") if "g" in rule.needs else rule.needs.index("gs")
    return Rule(lambda *args: how(rule.function(*args), args[place]), rule.needs)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_wrong_derivative(reddens, name):
    op, place = OPS[name], FORMULAS[name]
    reddens(
        check_gradients,
        op,
        rules={**op.rules, place: spoilt(op.rules[place], lambda found, g: found * 1.001)},
    )


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm", "rms_norm", "moments", "cat"])
def test_a_wrong_derivative_of_a_joint_formula(reddens, name):
    op = OPS[name]
    joint = op.joint

    def wrong(*args):
        first, *rest = joint.function(*args)
        return (first if first is None else first * 1.001, *rest)

    reddens(check_gradients, op, joint=Rule(wrong, joint.needs))


@pytest.mark.parametrize(
    "name", ["mul", "exp", "tanh", "matmul", "convolution", "softmax", "gelu", "embedding", "cross_entropy"]
)
def test_a_wrong_second_derivative(reddens, name):
    """The first derivative keeps its numbers, but is cut off from what it was computed from."""
    op, place = OPS[name], FORMULAS.get(name, "input")
    cut = spoilt(op.rules[place], lambda found, g: found.detach() + (0 * g.sum()))
    reddens(check_gradients, op, rules={**op.rules, place: cut})


@pytest.mark.parametrize("name", ["sum", "permute", "reshape", "expand"])
def test_a_missing_derivative(reddens, name):
    op = OPS[name]
    reddens(check_gradients, op, rules={}, differentiable=True)


def test_history_where_none_was_declared(reddens):
    reddens(
        check_gradients, OPS["floor_divide"], differentiable=True, rules={"input": Rule(lambda g: g, ("g",))}
    )


@pytest.mark.parametrize("name", ["add", "mul", "where", "lerp", "maximum"])
def test_a_missing_unbroadcast(reddens, name):
    """The engine sums gradients back for shape rules called `broadcast`; under another name it does not."""
    op = OPS[name]
    rule = op.shape_rule
    reddens(check_gradients, op, shape_rule=lambda *args: rule(*args))


@pytest.mark.parametrize(
    "name", ["add", "exp", "sum", "matmul", "argmax", "eq", "cast", "softmax", "cross_entropy"]
)
def test_a_wrong_dtype_rule(reddens, name):
    op = OPS[name]
    reddens(checks.check_dtypes, op, dtype_rule=lambda *args: Types(None, float64))


@pytest.mark.parametrize("name", ["exp", "sum", "matmul", "gather", "flip", "cat"])
def test_a_kernel_of_another_dtype(reddens, name):
    op = OPS[name]
    kernel = own_kernel(name)
    reddens(checks.check_dtypes, op, kernel=lambda *args: np.asarray(kernel(*args)).astype(np.float64))


@pytest.mark.parametrize(
    "name",
    [
        "exp",
        "where",
        "sum",
        "matmul",
        "cat",
        "pad",
        "gather",
        "embedding",
        "convolution",
        "max_pool",
        "layer_norm",
    ],
)
def test_a_wrong_shape_rule(reddens, name):
    op = OPS[name]
    rule = op.shape_rule

    def longer(*args):
        found = rule(*args)
        return [(*found[0], 1), *found[1:]] if isinstance(found, list) else (*found, 1)

    reddens(checks.check_shapes, op, shape_rule=longer)


@pytest.mark.parametrize("name", ["permute", "expand", "getitem", "unfold", "diagonal"])
def test_wrong_strides_of_a_view(reddens, name):
    op = OPS[name]
    rule = op.shape_rule

    def shifted(*args):
        shape, strides = rule(*args)
        return shape, tuple(s + 1 for s in strides)

    reddens(checks.check_shapes, op, shape_rule=shifted)


@pytest.mark.parametrize("name", ["copy", "square", "floor", "flip", "tril"])
def test_a_kernel_that_returns_its_input(reddens, name):
    op = OPS[name]
    reddens(checks.check_contract, op, kernel=lambda x, *params: x)


@pytest.mark.parametrize("name", ["roll", "pad", "sum", "gather"])
def test_a_kernel_whose_result_is_a_view(reddens, name):
    op = OPS[name]
    kernel = own_kernel(name)

    def alias(x, *args):
        result = kernel(x, *args)
        return np.lib.stride_tricks.as_strided(x, result.shape, (0,) * result.ndim) if x.size else result

    reddens(checks.check_contract, op, kernel=alias)


@pytest.mark.parametrize("name", ["permute", "reshape", "getitem"])
def test_a_view_that_copies(reddens, name):
    op = OPS[name]
    kernel = own_kernel(name)
    reddens(checks.check_contract, op, kernel=lambda *args: kernel(*args).copy())


@pytest.mark.parametrize("name", ["neg", "add", "cumsum", "matmul"])
def test_a_kernel_that_changes_its_input(reddens, name):
    op = OPS[name]
    kernel = own_kernel(name)

    def spoils(x, *args):
        result = np.array(kernel(x, *args))
        if x.size and x.flags.writeable:
            x += 1
        return result

    reddens(checks.check_contract, op, kernel=spoils)


@pytest.mark.parametrize("name", ["matmul", "exp", "softmax", "cross_entropy", "convolution", "sum", "sqrt"])
@pytest.mark.parametrize("policy", ["lower", "float32", None])
def test_a_wrong_amp_policy(reddens, name, policy):
    op = OPS[name]
    if op.amp == policy:
        check_amp(op, "strict")
        return
    reddens(check_amp, op, "strict", amp=policy)


@pytest.mark.parametrize("name", ["exp", "add", "sum", "matmul", "gather"])
def test_a_silent_copy_to_the_host_by_the_backend(reddens, name):
    op = OPS[name]
    backend = devtensor.backend.get("strict")
    kernel = backend.kernels[name]

    def visits(*args):
        result = kernel(*args)
        host = backend.download(result)
        return backend.upload(host, result.shape, result.dtype.name, 0)

    reddens(checks.check_contract, op, "strict", kernel=visits)


@pytest.mark.parametrize("name", ["exp", "add", "sum", "matmul"])
def test_a_silent_copy_to_the_host_by_numpy(reddens, name):
    """Strict arrays refuse to be read as NumPy's."""
    kernel = lambda x, *args: strict.StrictArray(np.asarray(x))  # noqa: E731
    reddens(checks.check_contract, OPS[name], "strict", kernel=kernel)


@pytest.mark.parametrize("name", ["mean", "gelu", "layer_norm", "cross_entropy"])
def test_a_silent_copy_to_the_host_in_a_body(reddens, name):
    op = OPS[name]
    body = op.body

    def reads(*args):
        to_numpy(next(a for a in args if hasattr(a, "kind")))
        return body(*args)

    reddens(checks.check_contract, op, "strict", body=reads)


@pytest.mark.parametrize("name", ["softmax", "convolution", "max_pool"])
def test_a_fused_kernel_that_is_not_its_body(reddens, name):
    op = OPS[name]
    reddens(checks.check_parity, op, "cpu", kernel=off(own_kernel(name)))


@pytest.mark.parametrize("name", ["exp", "sum", "matmul", "sort"])
def test_a_device_that_differs_from_the_cpu(reddens, name):
    op = OPS[name]
    kernel = own_kernel(name, "strict")

    def wrong(*args):
        result = kernel(*args)
        values = off(lambda: tuple(r.held for r in result) if isinstance(result, tuple) else result.held)()
        return (
            tuple(map(strict.StrictArray, values))
            if isinstance(values, tuple)
            else strict.StrictArray(values)
        )

    reddens(checks.check_parity, op, "strict", kernel=wrong)


@pytest.mark.parametrize("name", ["matmul", "cat", "gather", "expand", "cross_entropy", "convolution"])
def test_a_missing_refusal(reddens, name):
    op = OPS[name]
    reddens(
        check_errors,
        op,
        shape_rule=lambda *args: (),
        eager=False,
        kernel=lambda *args: np.zeros(()),
        body=lambda *args: copy(args[0]),
    )


@pytest.mark.parametrize("name", ["add", "exp", "clamp"])
def test_an_inplace_form_that_is_another_op(monkeypatch, name):
    check_inplace(OPS[name])
    monkeypatch.setattr(
        "ops.test_inplace.inplace_form", lambda op: lambda self, *args, **named: self.add_(self)
    )
    with pytest.raises(AssertionError):
        check_inplace(OPS[name])


@pytest.mark.parametrize(
    "doc",
    [
        "",
        "Sum of inputs.",
        "Sum.\n\nShapes: input (*A) -> (*A)",
        "Sum.\n\nShapes: input (*A), other (*B)",
        "no sentence\n\nShapes: input, other -> (*A)",
    ],
)
def test_wrong_documentation(reddens, doc):
    reddens(check_docs, OPS["add"], doc=doc)


def test_an_op_without_oracle_or_examples_fails(monkeypatch):
    from ops import test_values

    test_values.test_every_op_has_an_oracle_and_examples()
    monkeypatch.delitem(test_values.ORACLES, "exp")
    with pytest.raises(AssertionError, match="exp"):
        test_values.test_every_op_has_an_oracle_and_examples()
    monkeypatch.undo()
    monkeypatch.setattr(OPS["exp"], "cases", [])
    with pytest.raises(AssertionError, match="exp"):
        test_values.test_every_op_has_an_oracle_and_examples()


PLUGIN = """
import numpy as np
import pytest
from test_the_tests import plant_kernel

@pytest.fixture(autouse=True)
def planted(monkeypatch):
    plant_kernel(monkeypatch, "cpu", "tanh", lambda x: np.asarray(np.tanh(x) * 1.01))
"""


def test_the_suite_itself_turns_red(tmp_path):
    """Once for real: pytest over the generated tests of one op, sound and with a planted fault."""
    (tmp_path / "planted_fault.py").write_text(PLUGIN)

    chosen = ["-k", "tanh-cpu", "tests/ops/test_values.py", "tests/ops/test_gradients.py"]

    def run(*flags: str) -> str:
        path = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "backends")])
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen, *flags]
        known = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
        known.pop("PYTEST_XDIST_WORKER", None)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=known, timeout=300)
        return done.stdout

    sound, planted = run(), run("-p", "planted_fault")
    assert " passed" in sound and "failed" not in sound, sound[-3000:]
    for test in ("test_values", "test_gradients"):
        assert f"{test}[tanh-cpu]" in planted, planted[-3000:]
