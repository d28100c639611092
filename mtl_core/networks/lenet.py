"""The LeNet CNN of FashionMTL and MNISTS (M24, App. B)."""

from torch import Tensor, nn

__all__ = ["LeNet"]


class LeNet(nn.Module):
    """LeNet-5 on one-channel 28×28 images: two 5×5 convolutions and two linear layers.

    The paper gives no sizes. Here ``width`` scales LeNet-5's own: convolutions of ``width`` and
    ``2 width`` channels, then 15 and 10.5 units per channel (120 and 84 at width 8). Pooling comes
    before the ReLU, which gives the same values from a quarter of the work.

    Args:
        width: channels of the first convolution.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = round(10.5 * width)
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * width * 16, 15 * width),
            nn.ReLU(),
            nn.Linear(15 * width, self.features),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """images: (N, 1, 28, 28) -> (N, features)."""
        features: Tensor = self.layers(images)
        return features
