"""A first network, written as for PyTorch: only the imports say what it runs on."""

from sklearn.datasets import load_digits

import devtensor as torch
from devtensor import nn, optim
from devtensor.nn import functional as F
from devtensor.utils.data import DataLoader, TensorDataset


class SimpleNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = self.fc1(x)
        x = self.relu(x)
        return self.fc2(x)


def digits_as_mnist():
    """Scikit-learn's 8 x 8 digits in the middle of 28 x 28 pixels, as rows of 784 numbers from 0 to 1."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32) / 16
    images = F.pad(images, (10, 10, 10, 10)).reshape(-1, 784)
    return images, torch.tensor(digits.target, dtype=torch.long)


def train(model, loader, epochs=5):
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for epoch in range(epochs):
        running_loss = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            outputs = model(images)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        print(f"epoch {epoch + 1}: loss {running_loss / len(loader):.4f}")


def accuracy(model, images, labels):
    model.eval()
    with torch.no_grad():
        predicted = model(images).argmax(dim=1)
    return (predicted == labels).float().mean().item()


if __name__ == "__main__":
    torch.manual_seed(0)
    images, labels = digits_as_mnist()
    train_set = TensorDataset(images[:1500], labels[:1500])
    model = SimpleNet()
    train(model, DataLoader(train_set, batch_size=32, shuffle=True))
    print(f"accuracy on the last 297 digits: {100 * accuracy(model, images[1500:], labels[1500:]):.1f} %")
