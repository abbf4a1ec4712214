"""Module: members, walking, state, conversion, printing, copies."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import OrderedDict

import pytest

import devtensor
from blocks import Block, values
from devtensor import nn
from devtensor.core.errors import AutogradError


def test_members_are_found_under_dotted_names():
    model = nn.Sequential(OrderedDict(first=Block(), second=nn.Linear(2, 1, bias=False)))
    names = ["first.scale", "first.inner.weight", "first.inner.bias", "second.weight"]
    assert [name for name, _ in model.named_parameters()] == names
    assert [name for name, _ in model.named_buffers()] == ["first.mean", "first.scratch"]
    assert [name for name, _ in model.named_modules()] == ["", "first", "first.inner", "second"]
    assert [name for name, _ in model.named_children()] == ["first", "second"]
    assert list(model.first.parameters(recurse=False)) == [model.first.scale]
    assert model.get_submodule("first.inner") is model.first.inner
    assert model.get_parameter("first.inner.bias") is model.first.inner.bias
    assert model.get_buffer("first.mean") is model.first.mean
    with pytest.raises(AttributeError, match="has no attribute `third`"):
        model.get_submodule("third")
    with pytest.raises(AttributeError, match=r"not an nn\.Parameter"):
        model.get_parameter("first.mean")


def test_what_is_shared_is_listed_once_unless_asked():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    assert len(list(model.parameters())) == 3
    assert len(list(model.named_parameters(remove_duplicate=False))) == 4
    twice = nn.ModuleList([model[0], model[0]])
    assert len(list(twice.modules())) == 2


def test_registries_are_dicts_that_attributes_follow():
    block = Block()
    assert isinstance(block._parameters, dict) and isinstance(block._modules, dict)
    fresh = nn.Parameter(devtensor.zeros(2))
    block._parameters["scale"] = fresh
    assert block.scale is fresh
    del block._parameters["scale"]
    with pytest.raises(AttributeError, match="'Block' object has no attribute 'scale'"):
        _ = block.scale
    block._buffers.pop("mean")
    assert not hasattr(block, "mean")
    block._modules["inner"] = None
    assert block.inner is None and list(block.children()) == []


def test_assignment_chooses_by_class_and_refuses_what_does_not_fit():
    block = Block()
    with pytest.raises(TypeError, match="as parameter 'scale'"):
        block.scale = devtensor.ones(2)
    with pytest.raises(TypeError, match="as child module 'inner'"):
        block.inner = 3
    with pytest.raises(TypeError, match="as buffer 'mean'"):
        block.mean = 3
    block.scale = None
    assert block.scale is None and "scale" in block._parameters
    block.mean = nn.Parameter(devtensor.ones(1))
    assert "mean" in block._parameters and "mean" not in block._buffers
    block.plain = devtensor.ones(1)
    assert "plain" not in block._buffers
    block.kept = nn.Buffer(devtensor.ones(1), persistent=False)
    assert "kept" in block._buffers and "kept" not in block.state_dict()
    del block.inner
    assert "inner" not in block._modules


def test_names_are_checked():
    block = Block()
    with pytest.raises(KeyError, match="already exists"):
        block.register_buffer("forward", devtensor.ones(1))
    with pytest.raises(KeyError, match=r'got: "a\.b'):
        block.register_parameter("a.b", None)
    with pytest.raises(KeyError, match="empty string"):
        block.add_module("", nn.Identity())
    with pytest.raises(TypeError, match="not a Module subclass"):
        block.add_module("x", 3)
    with pytest.raises(ValueError, match="non-leaf"):
        block.register_parameter("y", _with_history())


def _with_history():
    made = nn.Parameter(devtensor.ones(1))
    made.node = (devtensor.ones(1, requires_grad=True) * 2).node
    return made


def test_assigning_before_init_says_so():
    class Early(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(devtensor.ones(1))

    with pytest.raises(AttributeError, match=r"before Module.__init__\(\) call"):
        Early()
    with pytest.raises(NotImplementedError, match='missing the required "forward"'):
        nn.Module()(1)


def test_conversion_keeps_the_parameter_objects():
    block = Block()
    param, before = block.inner.weight, values(block.inner.weight)
    block.inner(devtensor.ones(1, 2)).sum().backward()
    block.register_buffer("count", devtensor.zeros(1, dtype=devtensor.int64))
    assert block.double() is block
    assert block.inner.weight is param and param.dtype is devtensor.float64 is param.grad.dtype
    assert block.mean.dtype is devtensor.float64 and block.count.dtype is devtensor.int64
    assert values(param).tolist() == before.tolist()
    assert block.to(dtype=devtensor.float16).scale.dtype is devtensor.float16
    assert block.to(devtensor.ones(1)).scale.dtype is devtensor.float32
    assert block.bfloat16().half().float().cpu().scale.dtype is devtensor.float32
    with pytest.raises(TypeError, match="only accepts floating point"):
        block.to(devtensor.int64)
    with pytest.raises(TypeError, match="it takes a device"):
        block.to([1])


def test_moving_to_another_device(device):
    block = Block().to(device)
    assert block.scale.device.type == device and block.mean.device.type == device
    assert block(devtensor.ones(1, 2, device=device)).device.type == device
    assert values(block.cpu().mean).tolist() == [0, 0]
    assert Block().to_empty(device="meta").scale.device.type == "meta"


def test_shared_parameters_stay_shared_when_moved():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    model.double()
    assert model[1].weight is model[0].weight and model[0].weight.dtype is devtensor.float64


def test_modes_and_gradients():
    model = nn.Sequential(Block(), nn.Dropout())
    assert not model.eval().training and not model[1].training
    assert model.train()[1].training
    with pytest.raises(ValueError, match="boolean"):
        model.train(1)
    model[0](devtensor.ones(1, 2)).sum().backward()
    assert model[0].scale.grad is not None
    model.zero_grad(set_to_none=False)
    assert values(model[0].scale.grad).tolist() == [0, 0]
    model.zero_grad()
    assert model[0].scale.grad is None
    assert not any(p.requires_grad for p in model.requires_grad_(False).parameters())
    seen = []
    model.apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "Block", "Dropout", "Sequential"]


def test_copies_and_pickles_are_independent():
    block = Block()
    block.scale.requires_grad_(False)
    for other in (copy.deepcopy(block), pickle.loads(pickle.dumps(block))):
        assert values(other.inner.weight).tolist() == values(block.inner.weight).tolist()
        assert isinstance(other.scale, nn.Parameter) and not other.scale.requires_grad
        with devtensor.no_grad():
            other.scale.fill_(9)
        assert values(block.scale).tolist() == [1, 1]
        assert list(other.state_dict()) == list(block.state_dict())
        other._parameters["scale"] = None
        assert other.scale is None and block.scale is not None
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    assert (lambda m: m[0].weight is m[1].weight)(copy.deepcopy(tied))
    shallow = copy.copy(block)
    assert shallow.scale is block.scale


def test_a_module_is_freed_without_the_collector():
    gc.disable()
    try:
        model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        model(devtensor.ones(3, 2)).sum().backward()
        gone = weakref.ref(model)
        del model
        assert gone() is None
    finally:
        gc.enable()


def test_parameter():
    data = devtensor.zeros(2)
    param = nn.Parameter(data)
    assert param.requires_grad and isinstance(param, devtensor.Tensor) and param.is_leaf
    with devtensor.no_grad():
        param.add_(1)
    assert values(data).tolist() == [1, 1]
    assert type(param * 2) is devtensor.Tensor
    assert repr(param) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    assert nn.Parameter().shape == (0,)
    with pytest.raises(AutogradError, match="Only Tensors of floating point"):
        nn.Parameter(devtensor.ones(2, dtype=devtensor.int64))
    with pytest.raises(TypeError, match="needs a Tensor"):
        nn.Parameter([1.0])


MODELS = {
    "Linear(in_features=3, out_features=4, bias=True)": lambda: nn.Linear(3, 4),
    "Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)": lambda: nn.Conv2d(
        3, 4, 3, padding=1, bias=False
    ),
    "ConvTranspose2d(3, 4, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1))": lambda: (
        nn.ConvTranspose2d(3, 4, 3, 2, output_padding=1)
    ),
    "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)": lambda: (
        nn.BatchNorm2d(3)
    ),
    "Sequential(\n  (0): ReLU(inplace=True)\n  (1): Sequential(\n    (a): Tanh()\n  )\n)": lambda: (
        nn.Sequential(nn.ReLU(True), nn.Sequential(OrderedDict(a=nn.Tanh())))
    ),
    "ModuleList(\n  (0-1): 2 x Linear(in_features=1, out_features=1, bias=True)\n  (2): ReLU()\n)": lambda: (
        nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1), nn.ReLU()])
    ),
    "ModuleDict(\n  (a): Dropout(p=0.5, inplace=False)\n)": lambda: nn.ModuleDict({"a": nn.Dropout()}),
    "ParameterList(  (0): Parameter containing: [devtensor.float32 of size 2x3])": lambda: nn.ParameterList(
        [devtensor.ones(2, 3)]
    ),
    "Sequential(\n  (0): ParameterList(\n      (0): Parameter containing: [devtensor.float32 of size 1]\n"
    "      (1): Parameter containing: [devtensor.float32 of size 1]\n  )\n)": lambda: nn.Sequential(
        nn.ParameterList([devtensor.ones(1), devtensor.ones(1)])
    ),
    "ParameterDict(  (a): Parameter containing: [devtensor.FloatTensor of size 2x3])": (
        lambda: nn.ParameterDict({"a": devtensor.ones(2, 3)})
    ),
    "CrossEntropyLoss()": lambda: nn.CrossEntropyLoss(),
    "Embedding(3, 4, padding_idx=0)": lambda: nn.Embedding(3, 4, padding_idx=0),
    "Sequential()": lambda: nn.Sequential(),
}


@pytest.mark.parametrize("text", MODELS)
def test_printing(text):
    assert repr(MODELS[text]()) == text


def test_sequential_is_a_list_of_modules():
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3))
    assert len(model) == 3 and isinstance(model[-1], nn.Linear) and len(model[:2]) == 2
    model.append(nn.Tanh()).insert(0, nn.Identity())
    assert [type(m).__name__ for m in model] == ["Identity", "Linear", "ReLU", "Linear", "Tanh"]
    del model[0]
    assert list(model._modules) == ["0", "1", "2", "3"]
    model[1] = nn.Sigmoid()
    assert isinstance(model.pop(1), nn.Sigmoid) and len(model + model) == 6 and len(model * 2) == 6
    with pytest.raises(IndexError, match="out of range"):
        _ = model[7]


def test_lists_and_dicts_of_members():
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers += [nn.ReLU()]
    layers.extend([nn.Tanh()])
    assert (
        len(layers) == 3
        and len(layers[1:]) == 2
        and [n for n, _ in layers.named_parameters()]
        == [
            "0.weight",
            "0.bias",
        ]
    )
    with pytest.raises(TypeError, match="called with an iterable"):
        layers.extend(3)
    named = nn.ModuleDict({"a": nn.ReLU()})
    named["b"] = nn.Linear(1, 1)
    named.update([("c", nn.Tanh())])
    assert list(named) == ["a", "b", "c"] and "b" in named and len(named) == 3
    assert isinstance(named.pop("a"), nn.ReLU) and list(named.keys()) == ["b", "c"]
    params = nn.ParameterList([devtensor.ones(2), nn.Parameter(devtensor.zeros(1))])
    params.append(devtensor.ones(3))
    assert len(list(params.parameters())) == 3 and params[2].shape == (3,)
    by_name = nn.ParameterDict({"w": devtensor.ones(2)})
    assert isinstance(by_name["w"], nn.Parameter) and list(by_name.state_dict()) == ["w"]


def test_a_list_of_parameters_holds_anything():
    inner = nn.ParameterList([devtensor.ones(2)])
    row = nn.ParameterList([inner, "text", None, nn.Linear(1, 1), devtensor.ones(3)])
    assert len(row) == 5 and row[1] == "text" and row[2] is None and row[-1].shape == (3,)
    assert [name for name, _ in row.named_parameters()] == ["4", "0.0", "3.weight", "3.bias"]
    assert "(0): Object of type: ParameterList" in repr(row)
    assert [type(member).__name__ for member in row[1:4]] == ["str", "NoneType", "Linear"]
    row[1] = devtensor.zeros(2)
    assert isinstance(row[1], nn.Parameter) and len(copy.deepcopy(row)) == 5
    for wrong in (devtensor.ones(2), 3):
        with pytest.raises(TypeError, match="called with an iterable"):
            row.extend(wrong)
    with pytest.raises(RuntimeError, match="should not be called"):
        row(1)


def test_a_dict_of_parameters_holds_anything_and_sorts_plain_names():
    held = nn.ParameterDict({"b": devtensor.ones(2), "a": 3, "c": nn.Linear(1, 1)})
    assert list(held) == ["a", "b", "c"] and held["a"] == 3 and len(held) == 3
    assert list(held.state_dict()) == ["b", "c.weight", "c.bias"]
    held.update([("z", None), ("y", devtensor.ones(1))])
    assert held.popitem()[0] == "y" and held.pop("z") is None and held.get("q", 7) == 7
    assert isinstance(held.setdefault("k", devtensor.ones(1)), nn.Parameter) and "k" in held
    both = held | nn.ParameterDict({"x": devtensor.ones(1)})
    assert list(both) == ["a", "b", "c", "k", "x"] and list(reversed(held)) == ["k", "c", "b", "a"]
    assert dict(held.fromkeys(["p", "q"], 1).items()) == {"p": 1, "q": 1}
    held.clear()
    assert not list(held.values()) and not held.state_dict()
    for wrong, error in ((3, TypeError), ([3], TypeError), ([(1,)], ValueError)):
        with pytest.raises(error, match="ParameterDict"):
            held.update(wrong)
    with pytest.raises(TypeError, match="names are strings"):
        held[3] = 1
    with pytest.raises(KeyError, match="empty"):
        held.popitem()


def test_conversion_of_floats_alone_and_of_layouts():
    model = nn.Module()
    model.register_buffer("waves", devtensor.zeros(2, dtype=devtensor.complex64))
    model.register_buffer("plain", devtensor.zeros(2))
    model.double()
    assert model.waves.dtype is devtensor.complex64 and model.plain.dtype is devtensor.float64
    with pytest.warns(UserWarning, match="Complex modules"):
        model.to(devtensor.complex128)
    assert model.plain.dtype is devtensor.complex128
    conv = nn.Conv2d(2, 3, 2).to(memory_format=devtensor.channels_last)
    assert conv.weight.stride() == (8, 1, 4, 2)
    with pytest.raises(TypeError, match="unexpected keyword argument 'foo'"):
        conv.to(foo=1)
    assert conv.type("devtensor.DoubleTensor").weight.dtype is devtensor.float64
    assert nn.Linear(2, 2, device="meta").to_empty(device=None).weight.device.type == "meta"


def test_gradients_become_zeros_in_place():
    model = nn.Linear(2, 1)
    model(devtensor.ones(1, 2)).sum().backward()
    grad = model.weight.grad
    model.zero_grad(set_to_none=False)
    assert model.weight.grad is grad and values(grad).tolist() == [[0, 0]]


def test_submodules_are_set_by_path():
    model = nn.Sequential(nn.Sequential(nn.ReLU()))
    model.set_submodule("0.0", nn.Tanh())
    assert isinstance(model[0][0], nn.Tanh)
    with pytest.raises(ValueError, match="is not an nn"):
        model.set_submodule("0.0", 3)
    with pytest.raises(ValueError, match="without a target name"):
        model.set_submodule("", nn.Tanh())
    with pytest.raises(AttributeError, match="is not an nn"):
        model.set_submodule("training", nn.Tanh())
    with pytest.raises(AttributeError, match="has no attribute"):
        model.set_submodule("0.1", nn.Tanh(), strict=True)
    with pytest.raises(AttributeError, match="is not an nn"):
        nn.Linear(1, 1, bias=False).get_parameter("bias")
    twice = nn.Sequential(model, model)
    assert len(list(twice.modules(remove_duplicate=False))) == 7


def test_buffers_are_registered_by_what_a_subclass_defines():
    class Own(nn.Module):
        def register_buffer(self, name, tensor):
            super().register_buffer(name, tensor)
            self.last = name

    model = Own()
    model.register_buffer("a", devtensor.zeros(1))
    model.last = None
    model.a = devtensor.ones(1)
    assert model.last == "a"
    block = Block()
    block.scratch = devtensor.ones(3)
    assert "scratch" not in block.state_dict()


def test_replicas_have_no_parameters():
    block = Block()
    replica = block._replicate_for_data_parallel()
    assert list(replica._parameters) == [] and list(block._parameters) == ["scale"]
    assert replica._is_replica and replica.mean is block.mean and not hasattr(replica, "scale")


def test_lines_without_text_are_not_indented():
    class Described(nn.Module):
        def extra_repr(self):
            return "one\n\ntwo"

    assert repr(nn.Sequential(Described())) == "Sequential(\n  (0): Described(\n    one\n\n    two\n  )\n)"
