"""The LeNet of Pareto MTL: one encoder of 36×36 canvases, a linear head per item."""

import torch
from torch import Tensor, nn

__all__ = ["TwoItemLeNet"]


class TwoItemLeNet(nn.Module):
    """Two convolutions and a linear layer, shared, and two linear heads: 31,910 parameters.

    The sizes are those of Lin et al. 2019 (arXiv:1912.12854) in their released network: 9×9 to 10
    channels, 5×5 to 20, 50 units, 10 classes for each item. Pooling comes before the ReLU, which
    gives the same values from a quarter of the work.

    Args:
        mean, deviation: of the pixels of all canvases, as shares of 255.
    """

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, deviation
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 10, 9),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(10, 20, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(20 * 5 * 5, 50),
            nn.ReLU(),
        )
        self.top_left = nn.Linear(50, 10)
        self.bottom_right = nn.Linear(50, 10)

    def forward(self, canvases: Tensor) -> Tensor:
        """canvases: (N, 1, 36, 36) uint8 -> logits (N, 2, 10), top left first."""
        pixels = canvases.to(self.top_left.weight.dtype) / 255
        features = self.encoder((pixels - self.mean) / self.deviation)
        return torch.stack([self.top_left(features), self.bottom_right(features)], dim=1)
