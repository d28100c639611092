"""A small CNN for small images."""

from torch import Tensor, nn

__all__ = ["SmallCNN"]


class SmallCNN(nn.Module):
    """Two 3×3 convolutions and one linear layer, by default on one-channel 8×8 images.

    Args:
        width: channels of the first convolution; the second has twice, the output eight times.
        channels: of an image.
        size: height and width of an image; what is left of other sizes than 8×8 after the second
            convolution is averaged to 4×4.
    """

    def __init__(self, width: int, channels: int = 1, size: tuple[int, int] = (8, 8)) -> None:
        super().__init__()
        self.features = 8 * width
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            *([] if size == (8, 8) else [nn.AdaptiveAvgPool2d(4)]),
            nn.Flatten(),
            nn.Linear(2 * width * 16, self.features),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """images: (N, C, H, W) -> (N, features)."""
        features: Tensor = self.layers(images)
        return features
