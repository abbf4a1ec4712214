"""An autoencoder as scripts of 2017 wrote it: Variable, FloatTensor, .data, DataParallel."""

import numpy as np
import torch
import torch.nn as nn
import torch.utils.data
from torch import optim
from torch.autograd import Variable
from torch.nn import functional as F

cuda = torch.cuda.is_available()
torch.manual_seed(3)
if cuda:
    torch.cuda.manual_seed(3)
FloatTensor = torch.cuda.FloatTensor if cuda else torch.FloatTensor
LongTensor = torch.cuda.LongTensor if cuda else torch.LongTensor


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(16, 12)
        self.fc21 = nn.Linear(12, 2)
        self.fc22 = nn.Linear(12, 2)
        self.fc3 = nn.Linear(2, 12)
        self.fc4 = nn.Linear(12, 16)
        for p in self.parameters():
            if p.data.dim() > 1:
                nn.init.xavier_uniform_(p.data)

    def encode(self, x):
        h1 = torch.tanh(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        std = logvar.mul(0.5).exp_()
        eps = Variable(std.data.new(std.size()).normal_())
        return eps.mul(std).add_(mu)

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 16))
        z = self.reparameterize(mu, logvar)
        return torch.sigmoid(self.fc4(torch.tanh(self.fc3(z)))), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 16), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + 0.01 * KLD


patterns = np.eye(4, dtype=np.float32).repeat(4, axis=1)
labels = LongTensor(np.arange(256) % 4)
images = FloatTensor(patterns)[labels]
assert images.type() == torch.typename(images) and isinstance(images, FloatTensor)
dataset = torch.utils.data.TensorDataset(images, labels)
kwargs = {"num_workers": 0, "pin_memory": True} if cuda else {}
loader = torch.utils.data.DataLoader(dataset, batch_size=32, shuffle=True, **kwargs)

model = VAE()
model = nn.DataParallel(model)
optimizer = optim.Adam(model.parameters(), lr=2e-2)
history = []
for _ in range(12):
    model.train()
    train_loss = 0
    for data, _ in loader:
        data = Variable(data)
        optimizer.zero_grad()
        recon_batch, mu, logvar = model(data)
        loss = loss_function(recon_batch, data, mu, logvar)
        loss.backward()
        train_loss += loss.data.item()
        optimizer.step()
    history.append(train_loss / len(loader.dataset))
for group in optimizer.param_groups:
    group["lr"] *= 0.1
assert all(name.startswith("module.") for name in model.state_dict())
model.eval()
with torch.no_grad():
    recon, mu, _ = model(Variable(images[:4]))
print(np.round(recon.cpu().numpy(), 1), history[0], history[-1])
assert history[-1] < 0.5 * history[0]
print("finished")
