"""Indices all the way: a graph network, batches of unequal lengths, beam search, and errors caught."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Sampler

torch.manual_seed(1)


class GraphLayer(nn.Module):
    def __init__(self, inside, outside):
        super().__init__()
        self.lin = nn.Linear(inside, outside, bias=False)
        self.bias = nn.Parameter(torch.zeros(outside))

    def forward(self, x, edges):
        source, target = torch.cat([edges, torch.arange(len(x)).repeat(2, 1)], dim=1)
        degree = torch.zeros(len(x)).scatter_add_(0, target, torch.ones(target.numel()))
        scale = degree.pow(-0.5)
        messages = self.lin(x)[source] * (scale[source] * scale[target]).unsqueeze(-1)
        return torch.zeros(len(x), messages.size(1)).index_add_(0, target, messages) + self.bias


class ByLength(Sampler):
    def __init__(self, lengths, size):
        self.lengths, self.size = lengths, size

    def __iter__(self):
        order = torch.argsort(torch.tensor(self.lengths), descending=True).tolist()
        yield from (order[i : i + self.size] for i in range(0, len(order), self.size))

    def __len__(self):
        return -(-len(self.lengths) // self.size)


def collate(batch):
    words = pad_sequence(batch, batch_first=True, padding_value=0)
    return words, words.ne(0), torch.tensor([len(one) for one in batch])


def train_graph():
    ring = torch.arange(12)
    edges = torch.stack([ring, (ring + 1) % 6 + ring // 6 * 6])
    edges = torch.cat([edges, edges.flip(0)], dim=1).unique(dim=1)
    x, label = torch.eye(12), ring // 6
    known = torch.zeros(12, dtype=torch.bool)
    known[[0, 7]] = True
    layers = nn.ModuleList([GraphLayer(12, 8), GraphLayer(8, 2)])
    optimizer = torch.optim.Adam(layers.parameters(), lr=0.05, weight_decay=5e-4)
    for _ in range(80):
        logits = layers[1](F.relu(layers[0](x, edges)), edges)
        loss = F.cross_entropy(logits[known], label[known])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    accuracy = (logits.argmax(dim=-1) == label).float().mean().item()
    print(f"nodes right: {accuracy:.2f}")
    assert accuracy > 0.8


def beam_search(table, start, width, steps):
    words = torch.full((1, 1), start)
    scores = torch.zeros(1)
    for _ in range(steps):
        total = (scores[:, None] + table[words[:, -1]]).view(-1)
        scores, flat = total.topk(min(width, total.numel()))
        parent = torch.div(flat, table.size(1), rounding_mode="floor")
        words = torch.cat([words[parent], (flat % table.size(1))[:, None]], dim=1)
    return words, scores


def nucleus(logits, p):
    ordered, places = torch.sort(logits, descending=True, dim=-1)
    gone = ordered.softmax(-1).cumsum(-1) > p
    gone[..., 1:] = gone[..., :-1].clone()
    gone[..., 0] = False
    return logits.masked_fill(gone.scatter(-1, places, gone), -float("inf"))


def refusal(function):
    try:
        function()
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        return str(error)
    raise AssertionError("nothing was refused")


def main():
    sentences = [torch.arange(1, 2 + i % 4) for i in range(7)]
    lengths = [len(one) for one in sentences]
    loader = DataLoader(sentences, batch_sampler=ByLength(lengths, 3), collate_fn=collate)
    for words, mask, count in loader:
        last = words.gather(1, (count - 1)[:, None]).squeeze(1)
        assert mask.sum(dim=1).equal(count) and last.equal(count)
    assert len(loader) == 3

    train_graph()

    table = torch.randn(7, 7).log_softmax(dim=-1)
    words, scores = beam_search(table, 2, width=49, steps=3)
    steps = table[words[:, :-1], words[:, 1:]]
    assert torch.allclose(steps.sum(dim=1), scores) and (scores[:-1] >= scores[1:]).all()
    every = torch.cartesian_prod(*[torch.arange(7)] * 3)
    paths = torch.cat([torch.full((len(every), 1), 2), every], dim=1)
    best = table[paths[:, :-1], paths[:, 1:]].sum(dim=1).max()
    assert torch.isclose(best, scores[0])
    print("best:", words[0].tolist(), f"{best.item():.3f}")

    kept = nucleus(table, 0.7)
    drawn = torch.multinomial(kept.softmax(-1), 200, replacement=True)
    assert torch.isfinite(kept.gather(1, drawn)).all()

    layer, x = nn.Linear(3, 2), torch.ones(2, 3, requires_grad=True)
    loss = layer(x).pow(2).sum()
    loss.backward()
    assert "backward through the graph a second time" in refusal(loss.backward)
    assert "a leaf Variable that requires grad" in refusal(lambda: x.add_(1))
    assert "mat1 and mat2 shapes cannot be multiplied" in refusal(lambda: layer(torch.ones(2, 4)))
    assert "The size of tensor a (3) must match" in refusal(lambda: x + torch.ones(2, 4))
    assert "out of bounds" in refusal(lambda: F.cross_entropy(table, torch.arange(7) + 1))
    assert "Can't call numpy() on Tensor that requires grad" in refusal(x.numpy)
    print("finished")


if __name__ == "__main__":
    main()
