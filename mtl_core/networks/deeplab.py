"""DeepLabV3 (Chen et al. 2017, arXiv:1706.05587) in two parts: one backbone, a head per task."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torchvision.models.segmentation.deeplabv3 import ASPP

from mtl_core.errors import DataMissing, InputError
from mtl_core.networks.batch_norm import converted
from mtl_core.networks.resnet import ResNet, ResNet101

__all__ = ["WEIGHTS", "backbone", "head", "load_imagenet"]

PRETRAINED_WIDTH = 64
WEIGHTS = ("resnet101-63fe2227.pth", "resnet101-cd907fc2.pth")
"""torchvision's ImageNet weights of ResNet-101, preferred first: those of the original recipe,
which torchvision's DeepLabV3 starts from, then the newer ones. A run's numbers depend on which are
present."""

_ATROUS_RATES = (12, 24, 36)


def backbone(width: int, folder: Path) -> ResNet:
    """ResNet-101 with maps at an eighth of the resolution, (N, 32 width, H/8, W/8).

    At width 64 it starts from ImageNet's weights; no others exist, so any other width starts at
    random. Only the weights are taken over: the running averages of their BatchNorm have no place
    here, where statistics are always those of this data.

    Args:
        folder: where the weights are looked for, before torch hub's own folder.

    Raises:
        DataMissing: when width is 64 and there are none; it says what to fetch.
    """
    network = ResNet101(width)
    if width == PRETRAINED_WIDTH:
        load_imagenet(network, _find([folder, Path(torch.hub.get_dir()) / "checkpoints"]))
    return network


def head(features: int, outputs: int) -> nn.Module:
    """Atrous spatial pyramid pooling and a classifier: torchvision's ``DeepLabHead``, upsampled.

    Maps (N, F, H/8, W/8) to outputs (N, outputs, H, W). It has F/8 channels, as torchvision's has
    256 of 2,048, and its parameters' names. There is no dropout, on purpose: a run is a function of
    its seed and nothing else. Image pooling normalises one value for each image and channel, so in
    training a batch must have two images at least.
    """
    channels = features // 8
    pyramid = ASPP(features, _ATROUS_RATES, channels)
    pyramid.project = nn.Sequential(
        *(part for part in pyramid.project if not isinstance(part, nn.Dropout))
    )
    return converted(
        nn.Sequential(
            pyramid,
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, outputs, 1),
            nn.Upsample(scale_factor=8, mode="bilinear", align_corners=False),
        )
    )


def load_imagenet(network: ResNet, path: Path) -> None:
    """Fill a network's parameters from a file of torchvision's, in place.

    Raises:
        InputError: when the file holds something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if parameter.shape != state[name].shape:
                    raise ValueError(f"{name} is {tuple(state[name].shape)}")
                parameter.copy_(state[name])
    except Exception as error:  # torch and zip raise all sorts of errors for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} is not torchvision's ResNet-101 ({reason}); download it again"
        ) from error


def _find(folders: Sequence[Path]) -> Path:
    for name in WEIGHTS:
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    raise DataMissing(
        f"width {PRETRAINED_WIDTH} starts from ImageNet's weights, which are neither in "
        f"{folders[0]} nor in {folders[1]}: put https://download.pytorch.org/models/{WEIGHTS[0]} "
        "into one of them, or choose another width, which starts at random"
    )
