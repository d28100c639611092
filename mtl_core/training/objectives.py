"""Objectives: the loss and the metric of a task's outputs."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mtl_core.settings import Task
from mtl_core.settings.base import Loss

__all__ = ["Score", "per_example"]


def per_example(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss of every example, in nats for classification.

    Args:
        outputs: (R, N, C), or (R, N, C, H, W) for each pixel; C is 1 for regression.
        targets: (R, N) or (R, N, H, W); pixels without one (-1 or NaN) do not count, and an image
            of nothing else costs nothing.

    Returns:
        (R, N).
    """
    if loss == "cross_entropy":
        each = cross_entropy(
            outputs.flatten(0, 1), targets.flatten(0, 1), reduction="none", ignore_index=-1
        ).view(targets.shape)
        known = targets >= 0
    else:
        known = ~targets.isnan()
        error = (outputs.select(2, 0) - targets).where(known, 0.0)
        each = error.abs() if loss == "absolute_error" else error.square()
    if targets.ndim == 2:
        return each
    pixels = tuple(range(2, targets.ndim))
    return each.sum(dim=pixels) / known.sum(dim=pixels).clamp_min(1)


class Score:
    """A task's metric over a split, for R replicas, from sums over its parts.

    - ``accuracy``: share of examples whose largest output is their class;
    - ``mean_iou``: intersection over union of predicted and true pixels, mean over the classes
      that occur in either;
    - ``matthews``: Matthews' correlation coefficient (for K classes: Gorodkin's R_K);
    - ``pearson``: Pearson's correlation of outputs and targets;
    - ``absolute_error``: mean over all examples or pixels that have a target.

    A correlation with something constant is 0.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._sums: Tensor | None = None

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Count a part: outputs (R, n, C, ...), targets (R, n, ...)."""
        sums = self._of(outputs, targets)
        self._sums = sums if self._sums is None else self._sums + sums

    def value(self) -> Tensor:
        """(R,) in double precision."""
        assert self._sums is not None
        sums = self._sums
        if self._task.metric in ("accuracy", "absolute_error"):
            return sums[:, 0] / sums[:, 1].clamp_min(1)
        if self._task.metric == "pearson":
            count, x, y, xx, yy, xy = sums.unbind(dim=1)
            return _ratio(count * xy - x * y, (count * xx - x * x) * (count * yy - y * y))
        true, predicted, right = sums.sum(dim=2), sums.sum(dim=1), sums.diagonal(dim1=1, dim2=2)
        if self._task.metric == "mean_iou":
            union = true + predicted - right
            return (right / union.clamp_min(1)).sum(dim=1) / (union > 0).sum(dim=1).clamp_min(1)
        count = sums.sum(dim=(1, 2))
        return _ratio(
            count * right.sum(dim=1) - (true * predicted).sum(dim=1),
            (count**2 - (predicted**2).sum(dim=1)) * (count**2 - (true**2).sum(dim=1)),
        )

    def _of(self, outputs: Tensor, targets: Tensor) -> Tensor:
        metric = self._task.metric
        if metric == "accuracy":
            right = (outputs.argmax(dim=2) == targets).flatten(1).sum(dim=1).double()
            return torch.stack([right, torch.full_like(right, targets[0].numel())], dim=1)
        if metric in ("mean_iou", "matthews"):
            return _confusion(outputs.argmax(dim=2), targets, outputs.shape[2])
        values, targets = outputs.select(2, 0).double().flatten(1), targets.double().flatten(1)
        if metric == "absolute_error":
            known = ~targets.isnan()
            error = (values - targets).abs().where(known, 0.0)
            return torch.stack([error.sum(dim=1), known.sum(dim=1).double()], dim=1)
        count = torch.full_like(values[:, 0], values.shape[1])
        products: Sequence[Tensor] = (values, targets, values**2, targets**2, values * targets)
        return torch.stack([count, *(product.sum(dim=1) for product in products)], dim=1)


def _confusion(predicted: Tensor, targets: Tensor, classes: int) -> Tensor:
    """(R, true, predicted) counts of what has a target."""
    cell = (targets * classes + predicted).flatten(1)
    cell = cell.where(targets.flatten(1) >= 0, classes**2)
    counts = torch.stack([torch.bincount(row, minlength=classes**2 + 1) for row in cell])
    return counts[:, :-1].view(-1, classes, classes).double()


def _ratio(covariance: Tensor, variances: Tensor) -> Tensor:
    # Rounding leaves a trace of variance in what is constant.
    moves = variances > 1e-12 * covariance.abs().clamp_min(1)
    return (covariance / variances.clamp_min(1e-300).sqrt()).where(moves, 0.0).clamp(-1, 1)
