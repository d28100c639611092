"""Gradients of batches from one pass: those of ``backward`` for every batch."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, relu

from mtl_core import InputError
from mtl_core.factors import gramian, layerwise
from mtl_core.factors.layerwise import batch_gramians, example_gradients, supported
from mtl_core.networks.lenet import LeNet
from mtl_core.networks.small_cnn import SmallCNN

EXAMPLES = 30
Losses = list[Callable[[Tensor, slice], Tensor]]


class Twisted(nn.Module):
    """Convolutions with all that a convolution can have, over three channels of 9×11 images."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(12, 5, bias=False)
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, 4, (3, 2), padding=(2, 1), bias=False),
            nn.Tanh(),
            nn.Conv2d(4, 6, 3, stride=(2, 1), padding=1, dilation=(1, 2)),
            nn.Tanh(),
            nn.Conv2d(6, 2, (2, 5), stride=2, dilation=(2, 1)),
        )

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.last(self.convolutions(images).flatten(1).tanh())
        return features


class Perceptron(nn.Module):
    """Two layers and a detour."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.detour = nn.Linear(7, 8), nn.Linear(8, 8), nn.Linear(7, 8)

    def forward(self, inputs: Tensor) -> Tensor:
        features: Tensor = self.two(self.one(inputs).tanh()) + self.detour(inputs.cos())
        return features


ENCODERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "lenet": (lambda: LeNet(2), (1, 28, 28)),
    "small cnn": (lambda: SmallCNN(2), (1, 8, 8)),
    "twisted": (Twisted, (3, 9, 11)),
    "perceptron": (Perceptron, (7,)),
    "linear": (lambda: nn.Linear(7, 4), (7,)),
    "1x1": (lambda: nn.Sequential(nn.Conv2d(2, 3, 1), nn.Flatten()), (2, 3, 3)),
}


class Case:
    """An encoder, examples, and two losses of its features."""

    def __init__(self, name: str, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        build, shape = ENCODERS[name]
        torch.manual_seed(0)
        self.encoder = build().to(device, dtype)
        source = torch.Generator().manual_seed(1)
        self.inputs = torch.randn(EXAMPLES, *shape, generator=source).to(device, dtype)
        width = self.encoder(self.inputs[:1]).shape[1]
        self.head = torch.randn(5, width, generator=source).to(device, dtype)
        self.targets = torch.randint(5, (EXAMPLES,), generator=source).to(device)
        self.params = {name: p.detach() for name, p in self.encoder.named_parameters()}

    def losses(self) -> Losses:
        return [
            lambda features, part: cross_entropy(
                features @ self.head.mT, self.targets[part], reduction="sum"
            ),
            lambda features, part: (features.square().sum(dim=1) * self.targets[part]).sum(),
        ]

    def plain(self, index: Tensor, number: int) -> Tensor:
        """(m, P), by ``backward`` of each batch's mean loss."""
        found = []
        for batch in index:
            leaves = {name: p.clone().requires_grad_() for name, p in self.params.items()}
            features = functional_call(self.encoder, leaves, (self.inputs[batch],))
            targets = self.targets[batch]
            if number == 0:
                loss = cross_entropy(features @ self.head.mT, targets)
            else:
                loss = (features.square().sum(dim=1) * targets).mean()
            loss.backward()
            found.append(torch.cat([p.grad.flatten() for p in leaves.values()]))  # type: ignore[union-attr]
        return torch.stack(found)


def batches(device: str = "cpu") -> Tensor:
    """Overlapping ones; one has an example twice, one has nothing else."""
    rng = np.random.default_rng(2)
    index = np.stack([rng.choice(EXAMPLES, 6, replace=False) for _ in range(5)])
    index[3, 1] = index[3, 0]
    index[4] = 17
    return torch.from_numpy(index).to(device)


def assert_equal_gradients(found: Tensor, expected: Tensor) -> None:
    """1e-4 of each number, beside 1e-6 of the longest: sums in another order, in floats."""
    scale = float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6 * scale)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("layout", ["contiguous", "channels last", "strided"])
def test_gradients_are_those_of_backward(name: str, layout: str, device: str) -> None:
    case = Case(name, device)
    index = batches(device)
    expected = [case.plain(index, number) for number in range(2)]
    if case.inputs.ndim == 4 and layout == "channels last":
        case.inputs = case.inputs.contiguous(memory_format=torch.channels_last)
        case.params = {
            n: p.clone(memory_format=torch.channels_last) if p.ndim == 4 else p
            for n, p in case.params.items()
        }
    if layout == "strided":
        case.inputs = torch.stack([case.inputs, -case.inputs], dim=-1)[..., 0]
    found = example_gradients(case.encoder, case.params, case.inputs, case.losses())
    assert len(found) == 2
    for gradients, plain in zip(found, expected, strict=True):
        assert_equal_gradients(gradients.means(index), plain)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("chunk", [1, 7, EXAMPLES - 1, EXAMPLES])
def test_chunks_do_not_matter(name: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(name, dtype=torch.float64)
    monkeypatch.setattr(layerwise, "CHUNK", {"cpu": chunk})
    for number, gradients in enumerate(
        example_gradients(case.encoder, case.params, case.inputs, case.losses())
    ):
        torch.testing.assert_close(
            gradients.means(batches()), case.plain(batches(), number), rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("gather", [0, 1_000_000])
def test_batches_of_any_size(gather: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether their examples are fetched or all are multiplied."""
    monkeypatch.setattr(layerwise, "_GATHER", gather)
    case = Case("small cnn", dtype=torch.float64)
    gradients, _ = example_gradients(case.encoder, case.params, case.inputs, case.losses())
    everyone = torch.arange(EXAMPLES)
    for index in (everyone[:1, None], everyone[:, None], everyone[None], everyone.view(3, -1)):
        torch.testing.assert_close(
            gradients.means(index), case.plain(index, 0), rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inner_products(name: str, dtype: torch.dtype, device: str) -> None:
    """Those of the gradients as vectors: 1e-4 in floats beside the lengths, 1e-9 in double."""
    case = Case(name, device, dtype)
    one, other = example_gradients(case.encoder, case.params, case.inputs, case.losses())
    index = batches(device)
    vectors = torch.stack([one.means(index), other.means(index.flip(0)), one.means(index)], dim=1)
    found = batch_gramians([one, other, one], [index, index.flip(0), index])
    assert found.shape == (5, 3, 3)
    assert (found.dtype, found.device.type) == (torch.float64, device)
    expected = gramian(vectors)
    lengths = expected.diagonal(dim1=1, dim2=2).sqrt()
    scale = lengths.unsqueeze(1) * lengths.unsqueeze(2)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=tolerance)
    torch.testing.assert_close(one.squares(index), expected[:, 0, 0], rtol=tolerance, atol=0)


def test_other_parameters_than_the_encoder_s_own() -> None:
    """And its own are left alone, whatever they need."""
    case = Case("lenet", dtype=torch.float64)
    before = [p.detach().clone() for p in case.encoder.parameters()]
    case.params = {name: p + 0.01 for name, p in case.params.items()}
    gradients, _ = example_gradients(case.encoder, case.params, case.inputs, case.losses())
    torch.testing.assert_close(
        gradients.means(batches()), case.plain(batches(), 0), rtol=1e-9, atol=1e-12
    )
    for parameter, old in zip(case.encoder.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
        assert parameter.grad is None
    assert not gradients.means(batches()).requires_grad


def test_parameters_that_need_gradients() -> None:
    case = Case("small cnn")
    plain = example_gradients(case.encoder, case.params, case.inputs, case.losses())
    for p in case.params.values():
        p.requires_grad_()
    found = example_gradients(case.encoder, case.params, case.inputs, case.losses())
    for one, other in zip(found, plain, strict=True):
        assert torch.equal(one.means(batches()), other.means(batches()))


# --- what is not supported --------------------------------------------------------------------


class Twice(nn.Module):
    """Uses a layer two times."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        features: Tensor = self.layer(self.layer(inputs))
        return features


class Unused(nn.Module):
    """Has a layer that it does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.other = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        features: Tensor = self.layer(inputs)
        return features


class Sequences(nn.Module):
    """A linear layer on several vectors of each example."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        features: Tensor = self.layer(inputs.unsqueeze(1).expand(-1, 3, -1)).sum(dim=1)
        return features


class Overwriting(nn.Module):
    """Changes in place what a layer gave out."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        return relu(self.two(self.one(inputs)), inplace=True)


class Tied(nn.Module):
    """Two layers with the same weights."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        self.two.weight = self.one.weight

    def forward(self, inputs: Tensor) -> Tensor:
        features: Tensor = self.two(self.one(inputs))
        return features


def sums(features: Tensor, part: slice) -> Tensor:
    return features.sum()


def test_what_is_supported() -> None:
    for build, _ in ENCODERS.values():
        assert supported(build())
    assert supported(nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.MaxPool2d(2)))


UNSUPPORTED: dict[str, Callable[[], nn.Module]] = {
    "batch norm": lambda: nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)),
    "batch norm of no parameters": lambda: nn.Sequential(
        nn.Linear(4, 4), nn.BatchNorm1d(4, affine=False)
    ),
    "layer norm": lambda: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)),
    "groups": lambda: nn.Conv2d(4, 4, 1, groups=2),
    "named padding": lambda: nn.Conv2d(4, 4, 3, padding="same"),
    "reflected padding": lambda: nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    "transposed": lambda: nn.ConvTranspose2d(4, 4, 1),
    "embedding": lambda: nn.Embedding(4, 4),
    "own parameter": lambda: nn.PReLU(),
    "in place": lambda: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU(inplace=True)),
    "tied": Tied,
    "nothing to learn": lambda: nn.ReLU(),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_encoders(name: str) -> None:
    encoder = UNSUPPORTED[name]()
    assert not supported(encoder)
    with pytest.raises(InputError) as caught:
        example_gradients(encoder, dict(encoder.named_parameters()), torch.ones(3, 4), [sums])
    assert str(caught.value) == (
        f"{type(encoder).__name__} is not made of plain convolutions and linear layers only; "
        "take gradients batch by batch"
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Twice, "Linear is used more than once"),
        (Unused, "Linear is not used"),
        (Sequences, "Linear is given (3, 3, 4), not one vector or image for each example"),
        (Overwriting, "Linear has its output changed in place"),
    ],
)
def test_layers_that_are_used_in_another_way(build: Callable[[], nn.Module], message: str) -> None:
    """It cannot be seen before, but is not passed over in silence."""
    encoder = build()
    with pytest.raises(InputError) as caught:
        example_gradients(encoder, dict(encoder.named_parameters()), torch.ones(3, 4), [sums])
    assert str(caught.value) == f"{message}; take gradients batch by batch"
    assert hooks(encoder) == 0


def hooks(encoder: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in encoder.modules())


def test_hooks_are_removed() -> None:
    case = Case("perceptron")
    example_gradients(case.encoder, case.params, case.inputs, case.losses())
    assert hooks(case.encoder) == 0
    with pytest.raises(RuntimeError):
        example_gradients(case.encoder, case.params, case.inputs[:, :3], case.losses())
    assert hooks(case.encoder) == 0

    def broken(features: Tensor, part: slice) -> Tensor:
        assert hooks(case.encoder) == 0
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        example_gradients(case.encoder, case.params, case.inputs, [broken])
    assert hooks(case.encoder) == 0
