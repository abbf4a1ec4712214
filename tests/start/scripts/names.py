"""Names by language: a bidirectional LSTM over packed sequences, classes drawn equally often."""

import random
import string

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

NAMES = {
    "English": "Smith Johnson Brown Taylor Wilson Walker Wright Harris",
    "Russian": "Ivanov Petrov Sokolov Lebedev Kozlov Novikov",
    "Italian": "Rossi Russo Ferrari Bianchi",
}
LETTERS = string.ascii_lowercase
torch.manual_seed(3)
random.seed(3)


class Names(Dataset):
    def __init__(self):
        self.items = [(name.lower(), i) for i, names in enumerate(NAMES.values()) for name in names.split()]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        name, language = self.items[index]
        return torch.tensor([LETTERS.index(letter) + 1 for letter in name]), language


def collate(batch):
    names, languages = zip(*batch, strict=True)
    lengths = torch.tensor([len(name) for name in names])
    return pad_sequence(names, batch_first=True, padding_value=0), lengths, torch.tensor(languages)


class Classifier(nn.Module):
    def __init__(self, hidden=16):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS) + 1, 12, padding_idx=0)
        self.lstm = nn.LSTM(12, hidden, num_layers=2, bidirectional=True, batch_first=True, dropout=0.1)
        self.out = nn.Linear(2 * hidden, len(NAMES))

    def forward(self, names, lengths):
        packed = pack_padded_sequence(
            self.embedding(names), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        outputs, (hidden, _) = self.lstm(packed)
        outputs, found = pad_packed_sequence(outputs, batch_first=True)
        assert torch.equal(found, lengths)
        return self.out(torch.cat([hidden[-2], hidden[-1]], dim=1)), outputs


def main():
    names = Names()
    languages = torch.tensor([language for _, language in names.items])
    weights = 1.0 / torch.bincount(languages)[languages].double()
    sampler = WeightedRandomSampler(weights, num_samples=54, replacement=True)
    loader = DataLoader(names, batch_size=18, sampler=sampler, collate_fn=collate)
    model = Classifier()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-2)
    criterion = nn.CrossEntropyLoss()
    losses = []
    for _ in range(8):
        model.train()
        for batch, lengths, wanted in loader:
            logits, _ = model(batch, lengths)
            loss = criterion(logits, wanted)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        losses.append(loss.item())
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}")
    assert losses[-1] < 0.5 * losses[0]
    assert not model.embedding.weight.grad[0].any() and not model.embedding.weight[0].any()

    model.eval()
    batch, lengths, wanted = collate([names[index] for index in range(len(names))])
    with torch.no_grad():
        logits, outputs = model(batch, lengths)
        alone = torch.cat([model(name[None], torch.tensor([len(name)]))[0] for name, _ in names])
    assert torch.allclose(logits, alone, atol=1e-5), "padding must not change an answer"
    assert outputs.shape == (len(names), int(lengths.max()), 32)
    assert not outputs[lengths < lengths.max()][:, -1].any()
    right = (logits.argmax(1) == wanted).float().mean().item()
    print(f"right {right:.2f}")
    assert right > 0.8
    print("finished")


if __name__ == "__main__":
    main()
