"""A U-Net with residual blocks: mixed precision, an average of its weights, hooks, a checkpoint to resume."""

import copy
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.amp import GradScaler, autocast
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)
rng = np.random.default_rng(0)


class Discs(Dataset):
    """Pictures of a bright disc in noise, as uint8, and where the disc is."""

    def __init__(self, count, size=15):
        rows, columns = np.mgrid[:size, :size]
        centres = rng.integers(5, size - 5, (count, 2, 1, 1))
        self.masks = (rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2 < 16
        noise = rng.integers(0, 120, (count, size, size, 3))
        self.images = (self.masks[..., None] * 120 + noise).astype(np.uint8)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image = torch.from_numpy(self.images[i].transpose(2, 0, 1)).float().div(255)
        return {"image": image, "mask": torch.as_tensor(self.masks[i], dtype=torch.long)}


class Block(nn.Module):
    def __init__(self, inside, outside):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inside, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
            nn.Conv2d(outside, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.shortcut = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()

    def forward(self, x):
        out = self.body(x)
        out += self.shortcut(x)
        return F.relu(out, inplace=True)


class UNet(nn.Module):
    def __init__(self, channels=(3, 6, 12)):
        super().__init__()
        self.down = nn.ModuleList([Block(a, b) for a, b in pairwise(channels)])
        self.bottom = Block(channels[-1], channels[-1])
        self.up = nn.ModuleList([Block(channels[-1] * 2, channels[1]), Block(channels[1] * 2, channels[1])])
        self.out = nn.Conv2d(channels[1], 2, kernel_size=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        skips = []
        for block in self.down:
            skips.append(block(x))
            x = F.max_pool2d(skips[-1], 2)
        x = self.bottom(x)
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([skip, x], dim=1))
        return self.out(x)


def dice_loss(logits, target):
    p = logits.float().softmax(dim=1)
    t = F.one_hot(target, num_classes=2).permute(0, 3, 1, 2).type_as(p)
    return 1 - (2 * (p * t).sum((0, 2, 3)) / (p + t).sum((0, 2, 3))).mean()


@torch.no_grad()
def update_average(average, model, decay=0.7):
    for kept, new in zip(average.parameters(), model.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)
    for kept, new in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(new)


def main():
    model = UNet()
    average = copy.deepcopy(model).eval().requires_grad_(False)
    loader = DataLoader(Discs(16), batch_size=4, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2, weight_decay=1e-3)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-2, total_steps=6 * len(loader))
    scaler = GradScaler("cpu", enabled=True, init_scale=2.0**10)
    seen = {}
    handle = model.bottom.register_forward_hook(lambda module, args, out: seen.update(shape=tuple(out.shape)))
    model.out.register_full_backward_hook(lambda module, given, got: seen.update(norm=got[0].norm().item()))
    for epoch in range(6):
        for batch in loader:
            with autocast(device_type="cpu", dtype=torch.bfloat16):
                logits = model(batch["image"])
                loss = F.cross_entropy(logits, batch["mask"]) + dice_loss(logits, batch["mask"])
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            scheduler.step()
            update_average(average, model)
        print(f"epoch {epoch}: loss {loss.item():.3f}, lr {scheduler.get_last_lr()[0]:.5f}")
    handle.remove()
    assert seen["shape"][1:] == (12, 3, 3) and seen["norm"] > 0 and logits.dtype == torch.bfloat16

    batch = next(iter(DataLoader(Discs(16), batch_size=16)))
    with torch.inference_mode():
        found = average(batch["image"]).argmax(dim=1).bool()
    wanted = batch["mask"].bool()
    iou = (found & wanted).sum() / (found | wanted).sum().clamp(min=1)
    print(f"intersection over union: {iou:.3f}")
    assert iou > 0.5

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "last.pt"
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 6}, path)
        held = torch.load(path, map_location="cpu", weights_only=True)
    again = UNet().train(model.training)
    assert str(again.load_state_dict(held["model"])) == "<All keys matched successfully>"
    torch.optim.AdamW(again.parameters()).load_state_dict(held["optimizer"])
    assert torch.equal(again.eval()(batch["image"]), model.eval()(batch["image"]))
    print("finished")


if __name__ == "__main__":
    main()
