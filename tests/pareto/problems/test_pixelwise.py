"""Losses and metrics of maps, against loops over pixels."""

import math

import pytest
import torch
from torch import Tensor

from mtl_core.pareto.problems import pixelwise

Maps = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture
def maps() -> Maps:
    """Three images of 4×5 with five classes; the last has no target at all."""
    draws = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 9, 4, 5, generator=draws, dtype=torch.float64)
    labels = torch.randint(-1, 5, (3, 4, 5), generator=draws).to(torch.int8)
    depths = torch.rand(3, 4, 5, generator=draws).mul(5)
    depths *= torch.rand(3, 4, 5, generator=draws) > 0.3
    normals = torch.randn(3, 3, 4, 5, generator=draws)
    normals /= normals.norm(dim=1, keepdim=True)
    normals *= torch.rand(3, 1, 4, 5, generator=draws) > 0.3
    labels[2], depths[2], normals[2] = -1, 0, 0
    return outputs, labels, depths, normals.half()


def pixels(maps: Maps, image: int) -> list[tuple[list[float], int, float, list[float]]]:
    outputs, labels, depths, normals = maps
    return [
        (
            outputs[image, :, row, column].tolist(),
            int(labels[image, row, column]),
            float(depths[image, row, column]),
            normals[image, :, row, column].tolist(),
        )
        for row in range(4)
        for column in range(5)
    ]


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (
        math.hypot(*one) * math.hypot(*other)
    )


def test_losses_are_those_of_single_pixels(maps: Maps) -> None:
    sums = [0.0, 0.0, 0.0]
    for image in range(3):
        each = pixels(maps, image)
        entropy = [
            math.log(sum(map(math.exp, out[:5]))) - out[label]
            for out, label, _, _ in each
            if label >= 0
        ]
        depth = [abs(out[5] - depth) for out, _, depth, _ in each if depth > 0]
        normal = [1 - cosine(out[6:], normal) for out, _, _, normal in each if any(normal)]
        for objective, values in enumerate((entropy, depth, normal)):
            sums[objective] += mean(values) / 3
    assert pixelwise.losses(*maps).tolist() == pytest.approx(sums, rel=1e-9)


def test_metrics_are_those_of_single_pixels(maps: Maps) -> None:
    sums = [0.0, 0.0, 0.0]
    for image in range(3):
        each = [(max(range(5), key=out.__getitem__), *rest) for out, *rest in pixels(maps, image)]
        shares = []
        for number in range(5):
            both = sum(p == number == label for p, label, _, _ in each)
            either = sum(number in (p, label) for p, label, _, _ in each if label >= 0)
            if either:
                shares.append(both / either)
        raw = pixels(maps, image)
        angles = [
            math.degrees(math.acos(cosine(out[6:], normal)))
            for out, _, _, normal in raw
            if any(normal)
        ]
        depth = [abs(out[5] - depth) for out, _, depth, _ in raw if depth > 0]
        for objective, values in enumerate((shares, depth, angles)):
            sums[objective] += mean(values) / 3
    assert pixelwise.metrics(*maps).tolist() == pytest.approx(sums, rel=1e-6)


def test_what_has_no_target_moves_nothing(maps: Maps) -> None:
    outputs, labels, depths, normals = maps
    leaf = outputs.clone().requires_grad_()
    pixelwise.losses(leaf, labels, depths, normals).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
    assert not leaf.grad[:, :5].transpose(1, -1).transpose(1, 2)[labels < 0].any()
    assert not leaf.grad[:, 5][depths == 0].any()
    assert not leaf.grad[:, 6:].movedim(1, -1)[(normals == 0).all(dim=1)].any()
    assert leaf.grad[:2].any()
    assert not leaf.grad[2].any()


def test_a_perfect_answer() -> None:
    labels = torch.arange(20).view(1, 4, 5).remainder(5)
    depths = torch.rand(1, 4, 5) + 1
    normals = torch.nn.functional.normalize(torch.randn(1, 3, 4, 5), dim=1)
    logits = 50 * torch.nn.functional.one_hot(labels, 5).movedim(-1, 1)
    outputs = torch.cat([logits, depths.unsqueeze(1), 3 * normals], dim=1)
    assert pixelwise.losses(outputs, labels, depths, normals).abs().max() < 1e-6
    iou, depth, angle = pixelwise.metrics(outputs, labels, depths, normals).tolist()
    assert (iou, depth) == (1, 0)
    assert angle < 0.1


def test_parts_of_equal_size_average_to_the_whole(maps: Maps) -> None:
    for function in (pixelwise.losses, pixelwise.metrics):
        parts = [function(*(each[n : n + 1] for each in maps)) for n in range(3)]
        torch.testing.assert_close(torch.stack(parts).mean(dim=0), function(*maps))
