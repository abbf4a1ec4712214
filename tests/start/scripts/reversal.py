"""A Transformer that learns to reverse sequences: padding and causal masks, warm-up, greedy decoding."""

import math
import warnings

import numpy as np
import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence

PAD, BEGIN, END, SYMBOLS = 0, 1, 2, 9
warnings.filterwarnings("ignore", "enable_nested_tensor is True")
torch.manual_seed(0)
rng = np.random.default_rng(0)


class PositionalEncoding(nn.Module):
    def __init__(self, width, length=20):
        super().__init__()
        rates = torch.exp(-torch.arange(0, width, 2) * math.log(10000) / width)
        angles = torch.arange(length).reshape(length, 1) * rates
        table = torch.zeros(length, width)
        table[:, 0::2], table[:, 1::2] = torch.sin(angles), torch.cos(angles)
        self.register_buffer("table", table.unsqueeze(-2))

    def forward(self, x):
        return x + self.table[: x.size(0)]


class Reverser(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(SYMBOLS, width)
        self.positions = PositionalEncoding(width)
        self.transformer = nn.Transformer(width, 4, 1, 1, dim_feedforward=64, dropout=0.0)
        self.out = nn.Linear(width, SYMBOLS)

    def embed(self, tokens):
        return self.positions(self.embedding(tokens) * math.sqrt(self.width))

    def forward(self, source, target):
        causal = nn.Transformer.generate_square_subsequent_mask(len(target)).isinf()
        source_padding, target_padding = (source == PAD).T, (target == PAD).T
        found = self.transformer(
            self.embed(source),
            self.embed(target),
            tgt_mask=causal,
            src_key_padding_mask=source_padding,
            tgt_key_padding_mask=target_padding,
            memory_key_padding_mask=source_padding,
        )
        return self.out(found)

    @torch.no_grad()
    def reverse(self, source):
        memory = self.transformer.encoder(self.embed(source))
        written = torch.full((1, source.shape[1]), BEGIN)
        for _ in range(len(source) - 1):
            mask = nn.Transformer.generate_square_subsequent_mask(len(written))
            found = self.transformer.decoder(self.embed(written), memory, mask, tgt_is_causal=True)
            written = torch.cat([written, self.out(found[-1]).argmax(-1)[None]])
        return written


def draw(count):
    sources, targets = [], []
    for _ in range(count):
        symbols = rng.integers(3, SYMBOLS, rng.integers(2, 5)).tolist()
        sources.append(torch.tensor([*symbols, END]))
        targets.append(torch.tensor([BEGIN, *symbols[::-1], END]))
    return pad_sequence(sources, padding_value=PAD), pad_sequence(targets, padding_value=PAD)


def main():
    model = Reverser()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3, betas=(0.9, 0.98), eps=1e-9)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / 10, 1.0))
    criterion = nn.CrossEntropyLoss(ignore_index=PAD)
    losses = []
    for _ in range(45):
        source, target = draw(32)
        logits = model(source, target[:-1])
        loss = criterion(logits.reshape(-1, SYMBOLS), target[1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    print(f"loss {losses[0]:.2f} -> {losses[-1]:.2f}")
    assert losses[-1] < 0.5 * losses[0]

    model.eval()
    source, target = draw(4)
    whole = model(source, target[:-1])
    for column in range(4):
        length = int((source[:, column] != PAD).sum())
        alone = model(source[:length, column : column + 1], target[:length, column : column + 1])
        assert torch.allclose(whole[:length, column], alone[:, 0], atol=1e-4), "padding must not be seen"
    written = model.reverse(source[:2, :1])
    assert written.shape == (2, 1) and written[0].item() == BEGIN
    print("finished")


if __name__ == "__main__":
    main()
