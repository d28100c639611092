"""The perceptron of the settings whose inputs are vectors."""

from torch import Tensor, nn

__all__ = ["MLP"]


class MLP(nn.Module):
    """Two hidden layers of ReLUs on vectors.

    Args:
        inputs: D.
        width: units of either layer, and features.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.features = width
        self.layers = nn.Sequential(
            nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """vectors: (N, D), or anything of D values each -> (N, features)."""
        features: Tensor = self.layers(vectors.flatten(1))
        return features
