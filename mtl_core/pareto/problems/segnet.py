"""A small SegNet: an encoder and a decoder that three tasks share, and a head for each."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["GROUPS", "SegNet"]

GROUPS = 4
"""Groups of channels that are normalised together."""

_STAGES = 4


class SegNet(nn.Module):
    """Four stages of convolutions down to a sixteenth of the resolution, and four up again.

    After Badrinarayanan et al. 2017 (arXiv:1511.00561) as Liu et al. 2019 (MTAN, arXiv:1803.10704)
    share it: the whole of it, up to two convolutions for each task. Three things differ, all ours.
    It has four stages instead of five, of twice the channels each. Maps are enlarged by repetition,
    not by the places of the maxima. And channels are normalised in groups (Wu & He 2018,
    arXiv:1803.08494), not over batches: so an example's outputs are a function of the parameters
    alone, solutions that take over parameters from each other have no statistics to take over with
    them, and nothing has to be found again before a front is measured. With 16 channels it has
    545,953 parameters.

    Args:
        width: channels of the first stage, a multiple of ``GROUPS``; 64 is the original's.
        outputs: channels of each head.
    """

    def __init__(self, width: int, outputs: Sequence[int]) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in range(_STAGES)]
        layers: list[nn.Module] = []
        channels = 3
        for out in widths:
            layers += [*_convolved(channels, out), *_convolved(out, out), nn.MaxPool2d(2)]
            channels = out
        for out in reversed(widths):
            layers += [nn.Upsample(scale_factor=2), *_convolved(channels, out)]
            channels = out
        self.shared = nn.Sequential(*layers)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, out, 1))
            for out in outputs
        )

    def forward(self, images: Tensor) -> Tensor:
        """images: (N, 3, H, W) uint8, H and W multiples of 16 -> (N, sum of outputs, H, W)."""
        pixels = images.to(next(self.parameters()).dtype) / 255
        maps = self.shared((pixels - 0.5) / 0.25)
        return torch.cat([head(maps) for head in self.heads], dim=1)


def _convolved(channels: int, out: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, out, 3, padding=1, bias=False),
        nn.GroupNorm(GROUPS, out),
        nn.ReLU(),
    ]
