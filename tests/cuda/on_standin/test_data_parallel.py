"""DataParallel over two devices: what one device gives, in parts."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor import nn
from devtensor.nn import parallel

ROWS = torch.arange(20.0).reshape(5, 4) / 10


class Seen(nn.Module):
    """A model that notes where it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple] = []
        self.layers = nn.ModuleList([nn.Linear(4, 3)])
        self.norm = nn.BatchNorm1d(3)
        self.recurrent = nn.LSTM(3, 3, batch_first=True)

    def forward(self, x, *, factor):
        half = torch.is_autocast_enabled("cuda")
        self.seen.append((len(x), str(x.device), torch.cuda.current_device(), half))
        hidden = self.norm(self.layers[0](x) * factor)
        return {"out": self.recurrent(hidden[:, None])[0][:, 0], "none": None, "sum": hidden.sum()}


def test_results_and_gradients_are_those_of_one_device():
    one, model = nn.Linear(4, 2), nn.Linear(4, 2)
    model.load_state_dict(one.state_dict())
    out, expected = nn.DataParallel(model.cuda())(ROWS), one(ROWS)
    (out * out).sum().backward()
    (expected * expected).sum().backward()
    torch.testing.assert_close(out.cpu(), expected)
    for found, wanted in zip(model.parameters(), one.parameters(), strict=True):
        assert found.grad.device == found.device == torch.device("cuda:0")
        torch.testing.assert_close(found.grad.cpu(), wanted.grad)


def test_structures_autocast_and_buffers():
    model = nn.DataParallel(Seen().cuda())
    with torch.autocast("cuda"), pytest.warns(UserWarning, match="were scalars"):
        found = model(ROWS, factor=2)
    assert model.module.seen == [(3, "cuda:0", 0, True), (2, "cuda:1", 1, True)]
    assert found["out"].shape == (5, 3) and found["sum"].shape == (2,) and found["none"] is None
    assert model.module.norm.num_batches_tracked.item() == 1
    found["out"].float().sum().backward()
    assert all(param.grad is not None for param in model.parameters())


def test_fewer_rows_than_devices_and_where_results_go():
    model = nn.Linear(4, 2).cuda()
    assert nn.DataParallel(model)(ROWS[:1]).shape == (1, 2)
    for place, device in ((1, "cuda:1"), (-1, "cpu"), (None, "cuda:0")):
        assert str(nn.DataParallel(model, output_device=place)(ROWS).device) == device
    with torch.no_grad():
        assert not nn.DataParallel(model)(ROWS).requires_grad
    assert str(parallel.data_parallel(model, ROWS, [0]).device) == "cuda:0"


def test_one_device_takes_the_model_there():
    model = nn.DataParallel(nn.Linear(4, 2), device_ids=[1])
    assert str(model.module.weight.device) == str(model(ROWS).device) == "cuda:1"


def fails(x):
    raise KeyError("inside")


class Failing(nn.Module):
    def forward(self, x):
        return x if x.device.index == 0 else fails(x)


def test_what_is_refused():
    elsewhere = nn.Linear(4, 2).cuda(1)
    with pytest.raises(RuntimeError, match=r"on device cuda:0 \(device_ids\[0\]\) but .* on device: cuda:1"):
        nn.DataParallel(elsewhere)(ROWS)
    with pytest.raises(RuntimeError, match="cuda:5 does not exist"):
        nn.DataParallel(elsewhere, device_ids=[0, 5])
    with pytest.raises(ValueError, match="Expected a cuda device"):
        nn.DataParallel(elsewhere, device_ids=["cpu"])
    with pytest.raises(AssertionError, match="modules 2 is not equal to the number of inputs 1"):
        parallel.parallel_apply([elsewhere] * 2, [ROWS])
    with pytest.raises(KeyError, match="inside") as caught:
        nn.DataParallel(Failing())(ROWS)
    assert caught.value.__notes__ == ["in replica 1 on device 1"]


def test_copies_of_a_model():
    model = nn.Linear(2, 2).cuda()
    first, second = parallel.replicate(model, [0, 1])
    assert first.weight is model.weight and str(second.weight.device) == "cuda:1"
    assert second.weight.requires_grad and not list(second.parameters())
    assert not parallel.replicate(model, [1], detach=True)[0].weight.requires_grad
