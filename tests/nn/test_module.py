"""Module: members, walking, state, conversion, printing, copies."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import OrderedDict

import numpy as np
import pytest

import devtensor
from devtensor import nn
from devtensor.core.errors import AutogradError, CheckpointError


class Block(nn.Module):
    """A parameter, a buffer that is saved, one that is not, and a submodule."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(devtensor.ones(2))
        self.register_buffer("mean", devtensor.zeros(2))
        self.register_buffer("scratch", devtensor.zeros(3), persistent=False)
        self.inner = nn.Linear(2, 2)

    def forward(self, x):
        return self.inner(x) * self.scale


def values(tensor):
    return np.array(tensor.detach().tolist())


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


def test_state_round_trip_shares_memory_and_keeps_order():
    block = Block()
    state = block.state_dict()
    assert list(state) == ["scale", "mean", "inner.weight", "inner.bias"]
    assert state._metadata["inner"] == {"version": 1}
    assert not state["scale"].requires_grad and block.state_dict(keep_vars=True)["scale"] is block.scale
    with devtensor.no_grad():
        block.scale.fill_(7)
    assert values(state["scale"]).tolist() == [7, 7]
    other = Block()
    found = other.load_state_dict(state)
    assert repr(found) == "<All keys matched successfully>"
    assert values(other.inner.weight).tolist() == values(block.inner.weight).tolist()
    assert other.scale is not block.scale


def test_loading_lists_all_that_is_wrong():
    block = Block()
    state = block.state_dict()
    state["inner.bias"] = devtensor.ones(3)
    state["extra"] = state.pop("mean")
    with pytest.raises(CheckpointError) as caught:
        block.load_state_dict(state)
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Block:\n"
        '\tMissing key(s) in state_dict: "mean". \n'
        '\tUnexpected key(s) in state_dict: "extra". \n'
        "\tsize mismatch for inner.bias: copying a param with shape devtensor.Size([3]) from checkpoint, "
        "the shape in current model is devtensor.Size([2])."
    )
    state.pop("inner.bias")
    found = block.load_state_dict(state, strict=False)
    assert (found.missing_keys, found.unexpected_keys) == (["mean", "inner.bias"], ["extra"])
    with pytest.raises(TypeError, match="dict-like"):
        block.load_state_dict([1])
    with pytest.raises(CheckpointError, match="expected Tensor or Tensor-like"):
        block.load_state_dict({**block.state_dict(), "scale": 3})


def test_loading_with_assign_takes_the_tensors_themselves():
    block = Block()
    state = {name: tensor.double() for name, tensor in block.state_dict().items()}
    block.scale.requires_grad_(False)
    block.load_state_dict(state, assign=True)
    assert block.inner.weight.dtype is devtensor.float64 and block.mean is state["mean"]
    assert isinstance(block.scale, nn.Parameter) and not block.scale.requires_grad


def test_a_state_without_the_batch_count_still_loads():
    state = {k: v for k, v in nn.BatchNorm1d(2).state_dict().items() if k != "num_batches_tracked"}
    layer = nn.BatchNorm1d(2)
    assert layer.load_state_dict(state).missing_keys == []


def test_extra_state_and_state_hooks():
    class Extra(nn.Module):
        def get_extra_state(self):
            return {"step": 3}

        def set_extra_state(self, state):
            self.found = state

    model = nn.Sequential(Extra())
    model.register_state_dict_post_hook(lambda m, state, prefix, meta: state.update(note=devtensor.ones(1)))
    state = model.state_dict()
    assert state["0._extra_state"] == {"step": 3} and "note" in state
    seen = []
    handle = model.register_load_state_dict_pre_hook(lambda m, state, *rest: state.pop("note"))
    model.register_load_state_dict_post_hook(lambda m, keys: seen.append(keys.unexpected_keys))
    model.load_state_dict(state)
    assert model[0].found == {"step": 3} and seen == [[]]
    handle.remove()
    with pytest.raises(CheckpointError, match=r'Unexpected key\(s\) in state_dict: "note"'):
        model.load_state_dict(state)
    with pytest.raises(CheckpointError, match="_extra_state"):
        model.load_state_dict({})


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


def test_a_state_restored_by_hand_still_follows_assignments():
    block = Block()
    restored = Block.__new__(Block)
    restored.__dict__.update(copy.deepcopy(block.__dict__))
    restored.scale = nn.Parameter(devtensor.full((2,), 5.0))
    assert values(restored.scale).tolist() == [5, 5] and values(block.scale).tolist() == [1, 1]
    assert values(restored.state_dict()["scale"]).tolist() == [5, 5]


def test_hooks_of_states_are_callables_and_checked():
    model, seen = nn.Linear(2, 2), []
    model._register_load_state_dict_pre_hook(lambda *args: seen.append(len(args)))
    model.register_load_state_dict_pre_hook(lambda *args: seen.append(args[0]))
    other = copy.deepcopy(model)
    other.load_state_dict(model.state_dict())
    assert seen == [7, other]
    for hook in model._load_state_dict_pre_hooks.values():
        hook({}, "", {}, True, [], [], [])
    assert seen[2:] == [7, model]

    def giving(module, *rest):
        return 3

    model.register_state_dict_post_hook(giving)
    with pytest.raises(RuntimeError, match="must return None"):
        model.state_dict()
    with pytest.raises(RuntimeError, match="one of them alone"):
        model._register_state_dict_hook(giving)
    other.register_load_state_dict_post_hook(giving)
    with pytest.raises(AssertionError, match="must return None"):
        other.load_state_dict(other.state_dict())


def test_states_by_position_and_not_strict():
    model = nn.Linear(2, 2)
    with pytest.warns(FutureWarning, match="Positional args"):
        state = model.state_dict(OrderedDict(), "a.")
    assert list(state) == ["a.weight", "a.bias"]
    lists: list[list] = [[], [], []]
    model._load_from_state_dict({"a.b": 1}, "a.", {}, False, *lists)
    assert lists == [[], [], []]
    model._load_from_state_dict({"a.b": 1}, "a.", {}, True, *lists)
    assert lists == [["a.weight", "a.bias"], ["a.b"], []]


def test_what_fails_while_loading_is_listed():
    model = nn.Linear(2, 2)
    model.weight = nn.Parameter(devtensor.zeros(1, 1).expand(2, 2))
    with pytest.raises(CheckpointError, match='While copying the parameter named "weight"'):
        model.load_state_dict(nn.Linear(2, 2).state_dict())
    meta = nn.Linear(2, 2, device="meta")
    with pytest.warns(UserWarning, match="assign=True"):
        meta.load_state_dict(nn.Linear(2, 2).state_dict())
    meta.load_state_dict(nn.Linear(2, 2).state_dict(), assign=True)
    assert meta.weight.device.type == "cpu" and meta.weight.requires_grad
    frozen = nn.Parameter(devtensor.ones(2, 2), requires_grad=False)
    meta.load_state_dict({"weight": frozen, "bias": devtensor.ones(2)}, assign=True)
    assert meta.weight is frozen and frozen.requires_grad


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
