"""States of modules: saved, loaded, refused, hooked, and put together by hand."""

from __future__ import annotations

import copy
from collections import OrderedDict

import pytest

import devtensor
from blocks import Block, values
from devtensor import nn
from devtensor.core.errors import CheckpointError


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
