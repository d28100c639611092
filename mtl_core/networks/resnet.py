"""Residual networks of torchvision's blocks, at any width (He et al. 2016)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, conv1x1

from mtl_core.networks.batch_norm import BatchNorm
from mtl_core.networks.pixels import Normalise

__all__ = ["ResNet", "ResNet18", "ResNet101"]


class ResNet(nn.Module):
    """The part of a ResNet before its classifier, on images (N, 3, H, W).

    Width 64 is torchvision's own network: the same parameters by the same names, and the same
    values. ``BatchNorm`` takes the place of ``nn.BatchNorm2d``.

    Args:
        block: of torchvision.
        layers: how many blocks each stage has; four stages in all published networks.
        width: channels of the first stage's blocks; each later stage has twice as many.
        dilate: whether the last two stages keep their resolution and widen their kernels instead,
            as DeepLabV3 has it: the features are then (N, F, H/8, W/8) and not pooled.
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: Sequence[int],
        width: int,
        *,
        dilate: bool = False,
    ) -> None:
        super().__init__()
        self.features = width * 2 ** (len(layers) - 1) * block.expansion
        self.pooled = not dilate
        self.normalise = Normalise()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = BatchNorm(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels, dilation = width, 1
        for stage, count in enumerate(layers):
            planes, stride, before = width * 2**stage, 1 if stage == 0 else 2, dilation
            if dilate and stage >= 2:
                dilation, stride = dilation * stride, 1
            first = _first_block(block, channels, planes, stride, before)
            channels = planes * block.expansion
            others = [
                block(channels, planes, dilation=dilation, norm_layer=BatchNorm)
                for _ in range(1, count)
            ]
            setattr(self, f"layer{stage + 1}", nn.Sequential(first, *others))
        self.stages = [f"layer{number}" for number in range(1, len(layers) + 1)]
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """images: (N, 3, H, W), uint8 or normalised -> (N, features), or maps if dilated."""
        maps = self.maxpool(self.relu(self.bn1(self.conv1(self.normalise(images)))))
        for stage in self.stages:
            maps = getattr(self, stage)(maps)
        features: Tensor = maps.mean(dim=(2, 3)) if self.pooled else maps
        return features


def ResNet18(width: int) -> ResNet:
    """ResNet-18 with pooled features (N, 8 width)."""
    return ResNet(BasicBlock, (2, 2, 2, 2), width)


def ResNet101(width: int) -> ResNet:
    """ResNet-101 for dense prediction: maps (N, 32 width, H/8, W/8)."""
    return ResNet(Bottleneck, (3, 4, 23, 3), width, dilate=True)


def _first_block(
    block: type[BasicBlock | Bottleneck], channels: int, planes: int, stride: int, dilation: int
) -> BasicBlock | Bottleneck:
    """A stage's first block, which changes resolution and channels, and so its shortcut too."""
    out = planes * block.expansion
    shortcut = None
    if stride != 1 or channels != out:
        shortcut = nn.Sequential(conv1x1(channels, out, stride), BatchNorm(out))
    return block(channels, planes, stride, shortcut, dilation=dilation, norm_layer=BatchNorm)


def _initialise(network: nn.Module) -> None:
    """As torchvision does it."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
