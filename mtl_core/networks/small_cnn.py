"""A small CNN for 8×8 images."""

from torch import Tensor, nn

__all__ = ["SmallCNN"]


class SmallCNN(nn.Module):
    """Two 3×3 convolutions and one linear layer on one-channel 8×8 images.

    Args:
        width: channels of the first convolution; the second has twice, the output eight times.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = 8 * width
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * width * 16, self.features),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """images: (N, 1, 8, 8) -> (N, features)."""
        features: Tensor = self.layers(images)
        return features
