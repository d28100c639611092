"""Residual networks: torchvision's own at width 64, and BatchNorm without running averages."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18, resnet101

from mtl_core.networks.batch_norm import (
    BatchNorm,
    converted,
    has_batch_norm,
    population_statistics,
)
from mtl_core.networks.pixels import Normalise
from mtl_core.networks.resnet import ResNet18, ResNet101


def learned(network: nn.Module) -> dict[str, torch.Tensor]:
    """What torchvision's network learns, without its running averages and classifier."""
    return {n: p for n, p in network.named_parameters() if not n.startswith("fc.")}


@pytest.mark.parametrize("dilate", [False, True], ids=["resnet18", "dilated resnet101"])
def test_width_64_is_torchvisions_network(dilate: bool) -> None:
    torch.manual_seed(0)
    if dilate:
        theirs = resnet101(replace_stride_with_dilation=[False, True, True])
        ours, shape = ResNet101(64), (2, 2048, 8, 8)
    else:
        theirs, ours, shape = resnet18(), ResNet18(64), (2, 512)
    state = learned(theirs)
    assert {name: p.shape for name, p in ours.named_parameters()} == {
        name: p.shape for name, p in state.items()
    }
    ours.load_state_dict(state, strict=False)
    images = torch.randn(2, 3, 64, 64)
    maps = nn.Sequential(*list(theirs.children())[:-2])(images)
    assert ours.features == maps.shape[1]
    features = ours(images)
    assert features.shape == shape
    torch.testing.assert_close(features, maps if dilate else maps.mean(dim=(2, 3)))


def test_narrow_networks_have_their_features() -> None:
    network = ResNet18(3)
    assert network.features == 24
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 24)


def test_bytes_are_normalised_and_floats_are_not() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).expand(1, 3, 1, 2)
    dark, light = Normalise()(images)[0, :, 0].unbind(dim=1)
    torch.testing.assert_close(dark, -torch.tensor([0.485 / 0.229, 0.456 / 0.224, 0.406 / 0.225]))
    torch.testing.assert_close(light - dark, 1 / torch.tensor([0.229, 0.224, 0.225]))
    already = torch.randn(1, 3, 2, 2)
    assert Normalise()(already) is already


def test_batch_norm_is_pytorchs_in_training_and_has_no_memory() -> None:
    maps = 3 + 2 * torch.randn(5, 4, 6, 6)
    ours, theirs = BatchNorm(4), nn.BatchNorm2d(4)
    torch.testing.assert_close(ours(maps), theirs(maps))
    assert torch.equal(ours.mean, torch.zeros(4))


def test_conversion_keeps_parameters_and_finds_every_layer() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4, eps=1e-3)))
    weight = network[1][0].weight
    changed = converted(network)
    assert isinstance(changed[1][0], BatchNorm)  # type: ignore[index]
    assert changed[1][0].weight is weight  # type: ignore[index]
    assert changed[1][0].eps == 1e-3  # type: ignore[index]
    assert has_batch_norm(changed)
    assert not has_batch_norm(nn.Sequential(nn.Conv2d(3, 4, 1)))


def test_population_statistics_are_means_over_batches() -> None:
    """Against PyTorch's cumulative running averages, through an encoder and a head."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=None), nn.ReLU())
    head = nn.Sequential(nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2, momentum=None))
    batches = [torch.randn(6, 3, 8, 8) for _ in range(5)]
    for batch in batches:
        head(encoder(batch))
    expected = [(part[1].running_mean, part[1].running_var) for part in (encoder, head)]
    modules = [converted(encoder), converted(head)]
    params = [dict(module.named_parameters()) for module in modules]
    found = population_statistics(modules, params, batches)
    for statistics, (mean, variance) in zip(found, expected, strict=True):
        assert set(statistics) == {"1.mean", "1.variance"}
        torch.testing.assert_close(statistics["1.mean"], mean)
        torch.testing.assert_close(statistics["1.variance"], variance)
    assert not any(part._forward_pre_hooks for module in modules for part in module.modules())
