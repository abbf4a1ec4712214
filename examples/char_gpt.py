"""A small GPT that learns the standard library's source, character by character, and then writes some.

    python examples/char_gpt.py
    python examples/char_gpt.py --device cuda --amp bfloat16 --width 384 --layers 6 --steps 5000
    python examples/char_gpt.py --resume

The last goes on after the checkpoint in --out, and ends with the numbers that one uninterrupted run has.
"""

import argparse
import sysconfig
from pathlib import Path

import devtensor as torch
from devtensor import nn, optim
from devtensor.nn import functional as F
from train import choose_device, optional, progress_bar

PRECISIONS = {"off": None, "float16": torch.float16, "bfloat16": torch.bfloat16}


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 or any plug-in's device")
    add("--amp", default="off", choices=tuple(PRECISIONS))
    add("--steps", type=int, default=1000)
    add("--every", type=int, default=100, help="steps between two reports and checkpoints")
    add("--batch-size", type=int, default=24)
    add("--context", type=int, default=64, help="how many characters the model sees")
    add("--width", type=int, default=96)
    add("--layers", type=int, default=2)
    add("--heads", type=int, default=4)
    add("--dropout", type=float, default=0.1)
    add("--lr", type=float, default=2e-3)
    add("--characters", type=int, default=2_000_000, help="how much of the library is read")
    add("--write", type=int, default=400, help="how many characters are written in the end")
    add("--seed", type=int, default=0)
    add("--out", type=Path, default=Path("runs"), metavar="DIR", help="where the checkpoint goes")
    add("--resume", action="store_true", help="go on from the checkpoint in --out")
    return parser.parse_args(arguments)


def library_source(characters):
    """The source of the standard library's modules, one after the other, as far as it is ASCII."""
    text = ""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        text += path.read_text(encoding="utf-8", errors="ignore")
        if len(text) >= characters:
            break
    return text.encode("ascii", "ignore").decode()[:characters]


class Block(nn.Module):
    """Attention to the characters before, then a layer for each character by itself."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.attention_norm = nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        batch, length, width = x.shape
        projected = self.attention(self.attention_norm(x))
        query, key, value = projected.view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
        x = x + self.drop(self.attention_out(seen.transpose(1, 2).reshape(batch, length, width)))
        return x + self.drop(self.feed_forward(x))


class GPT(nn.Module):
    def __init__(self, symbols, context, width, layers, heads, dropout):
        super().__init__()
        self.context = context
        self.token = nn.Embedding(symbols, width)
        self.position = nn.Parameter(torch.zeros(context, width))
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, symbols, bias=False)
        nn.init.normal_(self.token.weight, std=0.02)
        self.head.weight = self.token.weight

    def forward(self, tokens):
        x = self.token(tokens) + self.position[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))

    @torch.no_grad()
    def write(self, tokens, count, temperature=0.8):
        """`tokens` and `count` more, each drawn from what the model expects."""
        self.eval()
        for _ in range(count):
            logits = self(tokens[:, -self.context :])[:, -1].float()
            drawn = torch.multinomial(F.softmax(logits / temperature, dim=-1), 1)
            tokens = torch.cat((tokens, drawn), dim=1)
        return tokens


class Run:
    """Everything that changes while the model learns."""

    def __init__(self, options, symbols, device):
        self.options, self.device, self.steps = options, device, 0
        torch.manual_seed(options.seed)
        sizes = (options.context, options.width, options.layers, options.heads, options.dropout)
        self.model = GPT(symbols, *sizes).to(device)
        self.optimizer = optim.AdamW(self.model.parameters(), lr=options.lr, betas=(0.9, 0.95))
        warm_up = max(1, options.steps // 20)
        self.scheduler = optim.lr_scheduler.SequentialLR(
            self.optimizer,
            [
                optim.lr_scheduler.LinearLR(self.optimizer, start_factor=0.01, total_iters=warm_up),
                optim.lr_scheduler.CosineAnnealingLR(self.optimizer, max(1, options.steps - warm_up)),
            ],
            milestones=[warm_up],
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=options.amp == "float16")
        self.parts = ("model", "optimizer", "scheduler", "scaler")

    def loss(self, data):
        """The loss on windows at random places: what comes after each of their characters?"""
        length = self.options.context
        starts = torch.randint(len(data) - length, (self.options.batch_size, 1), device=self.device)
        window = data[starts + torch.arange(length + 1, device=self.device)]
        dtype = PRECISIONS[self.options.amp]
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            logits = self.model(window[:, :-1])
            return F.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten())

    def step(self, data):
        self.optimizer.zero_grad()
        loss = self.loss(data)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.scheduler.step()
        return loss.detach()

    def round(self, data, watch):
        """Steps up to the next report; their random numbers depend on the seed and the step alone."""
        torch.manual_seed(self.options.seed * 1_000_003 + 1 + self.steps)
        self.model.train()
        count = min(self.options.every, self.options.steps - self.steps)
        total = torch.zeros((), device=self.device)
        for _ in watch(range(count)):
            total += self.step(data)
        self.steps += count
        return total.item() / count

    @torch.no_grad()
    def held_out_loss(self, data, batches=5):
        torch.manual_seed(self.options.seed)
        self.model.eval()
        return sum(self.loss(data).item() for _ in range(batches)) / batches

    def save(self, path):
        state = {name: getattr(self, name).state_dict() for name in self.parts}
        torch.save({"steps": self.steps, "options": self.identity(), **state}, path)

    def resume(self, path):
        checkpoint = torch.load(path, map_location=self.device)
        if checkpoint["options"] != self.identity():
            raise SystemExit(f"{path} was made with other options: {checkpoint['options']}")
        for name in self.parts:
            getattr(self, name).load_state_dict(checkpoint[name])
        self.steps = checkpoint["steps"]

    def identity(self):
        """The options that decide the numbers of a run."""
        free = ("device", "out", "resume", "write")
        return {name: value for name, value in vars(self.options).items() if name not in free}


def main(arguments=None):
    options = parse(arguments)
    device = choose_device(options.device)
    text = library_source(options.characters)
    alphabet = sorted(set(text))
    number_of = {character: number for number, character in enumerate(alphabet)}
    data = torch.tensor([number_of[character] for character in text], device=device)
    learnt, held_out = data[: len(data) * 9 // 10], data[len(data) * 9 // 10 :]

    run = Run(options, len(alphabet), device)
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint = options.out / "char_gpt.pt"
    if options.resume:
        run.resume(checkpoint)
    size = sum(parameter.numel() for parameter in run.model.parameters())
    print(f"{size} parameters, {len(data)} characters of {len(alphabet)} kinds; device {device}")
    tqdm = optional("tqdm", "progress bar")
    while run.steps < options.steps:
        loss = run.round(learnt, progress_bar(tqdm, f"step {run.steps}/{options.steps}"))
        print(f"step {run.steps}: loss {loss:.4f}, held out {run.held_out_loss(held_out):.4f}", flush=True)
        run.save(checkpoint)

    torch.manual_seed(options.seed)
    start = torch.tensor([[number_of[character] for character in "def "]], device=device)
    written = run.model.write(start, options.write)[0].tolist()
    print("".join(alphabet[number] for number in written))


if __name__ == "__main__":
    main()
