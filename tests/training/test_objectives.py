"""Losses and metrics against scikit-learn, SciPy and plain PyTorch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import jaccard_score, matthews_corrcoef
from torch import Tensor
from torch.nn.functional import cross_entropy

from mtl_core.settings import Task
from mtl_core.settings.base import Metric
from mtl_core.training.objectives import Score, per_example

TASK = Task("t", "T", 4, 10, 10, 10)


def score(metric: Metric, outputs: Tensor, targets: Tensor, parts: int = 3) -> list[float]:
    """The metric of a split that comes in parts."""
    found = Score(replace(TASK, metric=metric, classes=outputs.shape[2]))
    pairs = zip(outputs.chunk(parts, dim=1), targets.chunk(parts, dim=1), strict=True)
    for some, theirs in pairs:
        found.add(some, theirs)
    return found.value().tolist()


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_cross_entropy_of_pixels_leaves_out_those_without_a_class(rng: torch.Generator) -> None:
    outputs = torch.randn(2, 3, 4, 5, 6, generator=rng)
    targets = torch.randint(-1, 4, (2, 3, 5, 6), generator=rng)
    targets[1, 2] = -1
    found = per_example("cross_entropy", outputs, targets)
    for r in range(2):
        for n in range(3):
            expected = cross_entropy(outputs[r, n : n + 1], targets[r, n : n + 1], ignore_index=-1)
            wanted = 0.0 if (r, n) == (1, 2) else float(expected)
            assert float(found[r, n]) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("loss", ["absolute_error", "squared_error"])
def test_regression_leaves_out_what_has_no_target(loss: str, rng: torch.Generator) -> None:
    outputs = torch.randn(2, 3, 1, 4, 4, generator=rng)
    targets = torch.randn(2, 3, 4, 4, generator=rng)
    targets[0, 1, :2] = torch.nan
    error = (outputs[:, :, 0] - targets).abs().numpy()
    each = error if loss == "absolute_error" else error**2
    expected = np.nanmean(each, axis=(2, 3))
    np.testing.assert_allclose(per_example(loss, outputs, targets), expected, rtol=1e-5)  # type: ignore[arg-type]


def test_regression_without_a_target_has_no_gradient(rng: torch.Generator) -> None:
    outputs = torch.randn(1, 2, 1, 3, 3, generator=rng).requires_grad_()
    targets = torch.full((1, 2, 3, 3), torch.nan)
    per_example("absolute_error", outputs, targets).sum().backward()
    assert torch.equal(outputs.grad, torch.zeros_like(outputs))  # type: ignore[arg-type]


def test_accuracy_is_the_share_that_is_right() -> None:
    outputs = torch.eye(4)[torch.tensor([[0, 1, 2, 3, 0, 1]])]
    assert score("accuracy", outputs, torch.tensor([[0, 1, 2, 0, 0, 0]])) == [4 / 6]


@pytest.mark.parametrize("classes", [2, 4])
def test_matthews_is_scikit_learns(classes: int, rng: torch.Generator) -> None:
    outputs = torch.randn(2, 31, classes, generator=rng)
    targets = torch.randint(classes, (2, 31), generator=rng)
    expected = [
        matthews_corrcoef(true, one.argmax(dim=1))
        for true, one in zip(targets, outputs, strict=True)
    ]
    assert score("matthews", outputs, targets) == pytest.approx(expected, abs=1e-12)


def test_pearson_is_scipys(rng: torch.Generator) -> None:
    outputs = 3 + torch.randn(2, 31, 1, generator=rng)
    targets = 0.2 * outputs[..., 0] + torch.randn(2, 31, generator=rng)
    expected = [
        pearsonr(true.double(), one[:, 0].double()).statistic
        for true, one in zip(targets, outputs, strict=True)
    ]
    assert score("pearson", outputs, targets) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("metric", ["pearson", "matthews"])
def test_correlation_with_a_constant_is_zero(metric: Metric) -> None:
    outputs = torch.full((1, 9, 1 if metric == "pearson" else 2), 0.1)
    targets = torch.tensor([[0, 1, 1, 0, 1, 0, 0, 1, 1]])
    assert score(metric, outputs, targets) == [0.0]


def test_mean_iou_is_scikit_learns_over_the_classes_that_occur(rng: torch.Generator) -> None:
    outputs = torch.randn(2, 6, 4, 5, 5, generator=rng)
    outputs[:, :, 3] = -99  # never predicted, and never true
    targets = torch.randint(-1, 3, (2, 6, 5, 5), generator=rng)
    expected = []
    for true, one in zip(targets.flatten(1), outputs.argmax(dim=2).flatten(1), strict=True):
        known = true >= 0
        expected.append(jaccard_score(true[known], one[known], average="macro"))
    assert score("mean_iou", outputs, targets) == pytest.approx(expected, abs=1e-12)


def test_absolute_error_is_over_all_pixels_that_have_a_target(rng: torch.Generator) -> None:
    outputs = torch.randn(1, 6, 1, 4, 4, generator=rng)
    targets = torch.randn(1, 6, 4, 4, generator=rng)
    targets[0, 0, :3] = torch.nan
    expected = float((outputs[0, :, 0].double() - targets[0]).abs().nanmean())
    assert score("absolute_error", outputs, targets) == pytest.approx([expected], rel=1e-9)
