"""The LeNet of Pareto MTL: one encoder of 36×36 canvases, a linear head per item."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, relu

__all__ = ["TwoItemLeNet", "stacked_logits"]

PIECE = 32
"""Canvases whose maps of a few networks stay in a core's cache."""

EVEN = 16
"""Canvases are filled up to a multiple of this: then the outputs of a layer start, for every
network, at a multiple of 64 bytes. Elsewhere a product may be summed up in another order."""


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


def stacked_logits(
    parameters: Mapping[str, Tensor], canvases: Tensor, mean: float, deviation: float
) -> Tensor:
    """The outputs of G networks, (N, 1, 36, 36) uint8 -> (G, N, 2, 10), on a CPU.

    The first convolutions of all are computed as one, since they see the same canvases: 10 filters
    alone fill a vector register badly. Canvases pass the convolutions in pieces. Channels lie last.

    Args:
        parameters: those of ``TwoItemLeNet``, (G, ...) each.
    """
    first, second = parameters["encoder.0.weight"], parameters["encoder.3.weight"]
    count = len(first)
    filters = _channels_last(first)
    others = _channels_last(second).chunk(count)
    biases = parameters["encoder.3.bias"].unbind()
    pixels = (canvases.to(first.dtype) / 255 - mean) / deviation
    features = []
    for piece in torch.split(pixels, PIECE):
        maps = conv2d(piece, filters, parameters["encoder.0.bias"].flatten())
        maps = relu(max_pool2d(maps, 2))
        own = [of.contiguous(memory_format=torch.channels_last) for of in maps.chunk(count, dim=1)]
        found = [
            max_pool2d(conv2d(of, weight, bias), 2).flatten(1)
            for of, weight, bias in zip(own, others, biases, strict=True)
        ]
        features.append(torch.stack(found))
    features.append(features[0].new_zeros(count, -len(canvases) % EVEN, features[0].shape[2]))
    shared = relu(_linear(parameters, "encoder.7", relu(torch.cat(features, dim=1))))
    heads = [_linear(parameters, name, shared) for name in ("top_left", "bottom_right")]
    return torch.stack(heads, dim=2)[:, : len(canvases)]


def _channels_last(filters: Tensor) -> Tensor:
    """(G, O, I, H, W) -> (G O, I, H, W) in PyTorch's channels-last format."""
    _, _, into, height, width = filters.shape
    return filters.movedim(2, -1).reshape(-1, height, width, into).permute(0, 3, 1, 2)


def _linear(parameters: Mapping[str, Tensor], name: str, inputs: Tensor) -> Tensor:
    weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
    return torch.baddbmm(bias.unsqueeze(1), inputs, weight.mT)
