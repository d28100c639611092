"""DeepLabV3's two parts, held against torchvision's own."""

from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torchvision.models.segmentation.deeplabv3 import DeepLabHead

from mtl_core import DataMissing, InputError, settings
from mtl_core.networks import deeplab
from mtl_core.networks.batch_norm import converted
from mtl_core.networks.resnet import ResNet101

SETTING = settings.get("cityscapes")
TASKS = pytest.mark.parametrize("task", SETTING.tasks, ids=lambda task: task.name)


def without_dropout(module: nn.Module) -> nn.Module:
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return module


def test_a_head_of_width_64_is_torchvisions() -> None:
    """Same names, same shapes, and in training mode the same values and gradients."""
    torch.manual_seed(0)
    original = without_dropout(DeepLabHead(2048, 7))
    ours = deeplab.head(2048, 7)
    assert {n: p.shape for n, p in ours.named_parameters()} == {
        n: p.shape for n, p in original.named_parameters()
    }
    ours.load_state_dict(dict(original.named_parameters()), strict=False)
    maps = torch.randn(2, 2048, 4, 8)
    expected = nn.functional.interpolate(
        original(maps), scale_factor=8, mode="bilinear", align_corners=False
    )
    found = ours(maps)
    assert found.shape == (2, 7, 32, 64)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    for module, outputs in ((ours, found), (original, expected)):
        (outputs * weights).sum().backward()
        assert all(p.grad is not None for p in module.parameters())
    ones, twos = dict(ours.named_parameters()), dict(original.named_parameters())
    for name, parameter in ones.items():
        torch.testing.assert_close(parameter.grad, twos[name].grad, rtol=1e-3, atol=1e-3)


def test_a_head_leaves_no_randomness_and_no_running_state() -> None:
    kinds = (nn.Dropout, nn.BatchNorm2d)
    assert not any(isinstance(part, kinds) for part in deeplab.head(64, 7).modules())


@TASKS
@pytest.mark.parametrize("width", [1, 2, 4])
def test_outputs_are_as_large_as_the_images(task: settings.Task, width: int) -> None:
    assert SETTING.head is not None
    encoder = SETTING.encoder(width)
    head = SETTING.head(32 * width, task)
    maps = encoder(torch.randint(0, 256, (2, 3, 32, 64), dtype=torch.uint8))
    assert maps.shape == (2, encoder.features, 4, 8)
    assert encoder.features == 32 * width
    outputs = head(maps)
    assert outputs.shape == (2, task.classes, 32, 64)
    outputs.square().sum().backward()
    for parameter in (*encoder.parameters(), *head.parameters()):
        assert parameter.grad is not None
    assert {p.shape[0] for n, p in head.named_parameters() if n == "1.weight"} == {4 * width}


@TASKS
def test_encoder_and_head_are_functions_of_their_parameters(task: settings.Task) -> None:
    """Twice the same, and stacked replicas are what each of them is alone."""
    assert SETTING.head is not None
    torch.manual_seed(1)
    modules = [nn.Sequential(SETTING.encoder(1), SETTING.head(32, task)) for _ in range(3)]
    before = [{name: value.clone() for name, value in m.state_dict().items()} for m in modules]
    images = torch.randint(0, 256, (3, 2, 3, 32, 32), dtype=torch.uint8)
    params, buffers = stack_module_state(modules)  # type: ignore[arg-type]

    def outputs(params: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor) -> Tensor:
        found: Tensor = functional_call(modules[0], (params, buffers), (images,))
        return found

    stacked = vmap(outputs)(params, buffers, images)
    alone = torch.stack([module(batch) for module, batch in zip(modules, images, strict=True)])
    again = torch.stack([module(batch) for module, batch in zip(modules, images, strict=True)])
    torch.testing.assert_close(alone, again, rtol=0, atol=0)
    # Batches of two by two maps leave variances near zero, which enlarge rounding.
    torch.testing.assert_close(stacked, alone, rtol=1e-2, atol=1e-2)
    for module, values in zip(modules, before, strict=True):
        for name, value in module.state_dict().items():
            assert torch.equal(value, values[name])


def test_names_of_the_backbone_are_those_of_the_weights_file() -> None:
    with torch.device("meta"):
        original = torchvision.models.resnet101()
        ours = ResNet101(64)
    shapes = {name: parameter.shape for name, parameter in original.named_parameters()}
    assert {n: p.shape for n, p in ours.named_parameters()} == {
        name: shape for name, shape in shapes.items() if not name.startswith("fc.")
    }


def small(width: int) -> nn.Module:
    """What torchvision's ResNet-101 would be at another width, in name."""
    network = ResNet101(width)
    network.fc = nn.Linear(32 * width, 1000)
    return network


def test_weights_are_taken_over_by_name(tmp_path: Path) -> None:
    state = small(2).state_dict()
    state["bn1.running_mean"] = torch.full((2,), 7.0)
    state["bn1.num_batches_tracked"] = torch.tensor(3)
    torch.save(state, tmp_path / "weights.pth")
    network = ResNet101(2)
    deeplab.load_imagenet(network, tmp_path / "weights.pth")
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, state[name])
    assert not network.bn1.mean.any()


@pytest.mark.parametrize("content", ["another width", "no layer4", b"no archive", b""])
def test_a_file_of_something_else_is_named(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        state = small(3 if content == "another width" else 2).state_dict()
        if content == "no layer4":
            state = {name: v for name, v in state.items() if not name.startswith("layer4")}
        torch.save(state, path)
    with pytest.raises(InputError) as caught:
        deeplab.load_imagenet(ResNet101(2), path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path} is not torchvision's ResNet-101 (")


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"conv1.weight": Path("/")}, path)
    with pytest.raises(InputError, match="is not torchvision's ResNet-101"):
        deeplab.load_imagenet(ResNet101(2), path)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The data folder and torch hub's, where weights may lie, of width 2."""
    data, hub = tmp_path / "data", tmp_path / "hub"
    for folder in (data, hub / "checkpoints"):
        folder.mkdir(parents=True)
    monkeypatch.setenv("MTL_DATA_DIR", str(data))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(hub))
    monkeypatch.setattr(deeplab, "PRETRAINED_WIDTH", 2)
    return data, hub / "checkpoints"


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("name", deeplab.WEIGHTS)
def test_weights_are_found_in_both_places(
    folders: tuple[Path, Path], place: int, name: str
) -> None:
    state = small(2).state_dict()
    torch.save(state, folders[place] / name)
    encoder = SETTING.encoder(2)
    for name, parameter in encoder.named_parameters():
        assert torch.equal(parameter, state[name])


def test_without_weights_it_says_what_to_fetch_and_where_to_put_it(
    folders: tuple[Path, Path],
) -> None:
    with pytest.raises(DataMissing) as caught:
        SETTING.encoder(2)
    message = str(caught.value)
    assert "\n" not in message
    for part in (*map(str, folders), "https://download.pytorch.org/models/resnet101-63fe2227.pth"):
        assert part in message
    assert SETTING.encoder(1).features == 32


def test_the_papers_width_is_the_pretrained_one() -> None:
    assert SETTING.preset("paper").width == deeplab.PRETRAINED_WIDTH == 64
    assert SETTING.preset("quick").width < 64 > SETTING.preset("standard").width


def test_the_published_file_names_are_torchvisions() -> None:
    published = [w.url for w in torchvision.models.ResNet101_Weights]
    for name in deeplab.WEIGHTS:
        assert f"https://download.pytorch.org/models/{name}" in published


def test_converting_is_all_that_is_done_to_torchvisions_parts() -> None:
    head = deeplab.head(64, 3)
    assert [type(part).__name__ for part in head] == [  # type: ignore[attr-defined]
        "ASPP", "Conv2d", "BatchNorm", "ReLU", "Conv2d", "Upsample",
    ]  # fmt: skip
    assert converted(head) is head
