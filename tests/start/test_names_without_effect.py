"""Compilers, exporters and process groups by name: what asks is answered, what cannot be says why."""

from __future__ import annotations

import copy
from importlib import import_module
from typing import Optional

import pytest

import devtensor as torch
import devtensor._dynamo
import devtensor._inductor.config
from devtensor import nn
from devtensor.core.errors import Unsupported

REFUSED = {
    "jit": ["save", "load", "CompilationUnit"],
    "onnx": ["export", "dynamo_export", "register_custom_op_symbolic", "ExportOptions"],
    "distributed": ["init_process_group", "init_device_mesh", "TCPStore"],
    "overrides": ["TorchFunctionMode", "handle_torch_function"],
    "hub": ["load", "list", "help"],
    "cuda": ["CUDAGraph", "graph", "make_graphed_callables", "use_mem_pool", "MemPool"],
    "_dynamo": ["explain", "export"],
    "utils.cpp_extension": ["load", "load_inline", "CUDAExtension", "CppExtension", "BuildExtension"],
}


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path, names in REFUSED.items() for name in names]
)
def test_what_is_refused_says_why(path, name):
    place = torch
    for part in path.split("."):
        place = getattr(place, part)
    with pytest.raises(Unsupported, match=rf"\[.*{name}\] .+"):
        getattr(place, name)("anything")


def test_questions_are_answered_truly():
    assert not torch.jit.is_scripting() and not torch.jit.is_tracing() and not torch.onnx.is_in_onnx_export()
    assert not torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling()
    assert not torch.distributed.is_available() and not torch.distributed.is_initialized()
    assert not torch.overrides.has_torch_function((torch.ones(1),))
    assert torch.overrides.is_tensor_like(torch.ones(1)) and not torch.overrides.is_tensor_like(3)


def test_a_mode_may_be_inherited_from_and_not_made():
    class Mode(torch.overrides.TorchFunctionMode):
        pass

    with pytest.raises(Unsupported):
        Mode()


def test_scripts_marks_change_nothing():
    @torch.jit.script
    def double(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    class Layer(torch.jit.ScriptModule):
        __constants__ = ("factor",)
        factor: torch.jit.Final[int]

        def __init__(self):
            super().__init__()
            self.factor = 3

        @torch.jit.script_method
        def forward(self, x):
            return double(x) * self.factor

        @torch.jit.export
        def exported(self):
            return 1

        @torch.jit.ignore
        def first(self):
            return 2

        @torch.jit.ignore(drop=True)
        def second(self):
            return 3

        @torch.jit.unused
        def third(self):
            return 4

    layer = torch.jit.freeze(torch.jit.script(Layer().eval()))
    assert layer(torch.ones(2)).tolist() == [6, 6] and isinstance(layer, nn.Module)
    assert (layer.exported(), layer.first(), layer.second(), layer.third()) == (1, 2, 3, 4)
    assert torch.jit.trace(double, torch.ones(1)) is double and torch.jit.annotate(list[int], [1]) == [1]
    assert torch.jit.wait(torch.jit.fork(double, torch.ones(1))).item() == 2
    with torch.jit.optimized_execution(False), torch.jit.strict_fusion():
        assert torch.jit.Attribute(1, int).value == 1


def test_isinstance_with_the_types_of_elements():
    check = torch.jit.isinstance
    assert check([1], list[int]) and not check(["a"], list[int]) and check({"a": 1}, dict[str, int])
    assert check((1, "a"), tuple[int, str]) and not check((1,), tuple[int, str])
    assert check(None, Optional[int]) and check(1, (str, int)) and not check(1, str)  # noqa: UP045
    with pytest.raises(RuntimeError, match="contained type"):
        check([1], list)


def test_compile_runs_the_function():
    @torch.compile(fullgraph=True, dynamic=False, mode="reduce-overhead")
    def add(x, y=1):
        """Adds."""
        return x + y

    assert add(torch.ones(1), y=2).item() == 3 and add.__name__ == "add" and add.__doc__ == "Adds."
    assert torch.compile(add, disable=True) is add and torch.compile(add, backend=lambda graph, inputs: graph)
    for error, arguments in [
        (RuntimeError, {"mode": "fast"}),
        (RuntimeError, {"mode": "default", "options": {"a": 1}}),
        (RuntimeError, {"backend": "none such"}),
    ]:
        with pytest.raises(error):
            torch.compile(add, **arguments)
    with pytest.raises(AssertionError):
        torch.compile(3)


def test_a_compiled_module_shares_its_state():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    compiled = torch.compile(model)
    x = torch.randn(4, 2)
    assert type(compiled) is torch._dynamo.OptimizedModule and compiled._orig_mod is model
    compiled.eval()
    assert not model.training and not compiled.training
    assert compiled(x).tolist() == model(x).tolist() and len(compiled) == 2
    assert list(compiled.state_dict()) == [f"_orig_mod.{name}" for name in model.state_dict()]
    assert [id(p) for p in compiled.parameters()] == [id(p) for p in model.parameters()]
    compiled.extra = 5
    assert model.extra == compiled.extra == 5
    compiled.load_state_dict(compiled.state_dict())
    again = copy.deepcopy(compiled)
    assert again._orig_mod is not model and again(x).tolist() == model(x).tolist()


def test_the_compilers_switches():
    torch._dynamo.config.suppress_errors = True
    torch._dynamo.config.cache_size_limit = 64
    torch._inductor.config.triton.unique_kernel_names = True
    assert torch._dynamo.config.cache_size_limit == 64 and torch._inductor.config.triton.unique_kernel_names
    with torch._dynamo.config.patch(cache_size_limit=8, verbose=True):
        assert torch._dynamo.config.cache_size_limit == 8
    assert torch._dynamo.config.cache_size_limit == 64 and not torch._dynamo.config.verbose
    torch._dynamo.reset()
    torch._dynamo.mark_dynamic(torch.ones(1), 0)

    @torch.compiler.disable(recursive=False)
    def function():
        return 1

    with torch.compiler.set_stance("force_eager"):
        assert (
            function()
            == torch.compiler.disable(function)()
            == torch._dynamo.optimize("eager")(function)()
            == 1
        )
    assert "inductor" in torch.compiler.list_backends()


def test_process_groups_as_before_they_are_made(monkeypatch):
    distributed = torch.distributed
    for name in ("get_rank", "get_world_size", "barrier", "all_reduce", "new_group"):
        with pytest.raises(ValueError, match="has not been initialized"):
            getattr(distributed, name)()
    with pytest.raises(ValueError, match=r"nn\.all_reduce.* has not been initialized"):
        import_module("devtensor.distributed.nn").all_reduce()
    with pytest.raises(ValueError, match="has not been initialized"):
        nn.parallel.DistributedDataParallel(nn.Linear(2, 2))
    assert distributed.ReduceOp.SUM is distributed.reduce_op.SUM and distributed.group.WORLD is None
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert distributed.get_node_local_rank(3) == 3
    with pytest.raises(RuntimeError):
        distributed.get_node_local_rank()


def test_data_parallel_runs_the_module():
    model = nn.Linear(2, 3)
    parallel = nn.DataParallel(model, device_ids=[0])
    x = torch.ones(1, 2)
    assert parallel(x).tolist() == model(x).tolist() == nn.parallel.data_parallel(model, x).tolist()
    assert list(parallel.state_dict()) == ["module.weight", "module.bias"] and parallel.module is model
    state = parallel.state_dict()
    nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
    model.load_state_dict(state)
