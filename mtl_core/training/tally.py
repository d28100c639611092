"""Tally: what a multi-task optimizer did since the last checkpoint."""

from typing import TypedDict

import torch
from torch import Tensor

from mtl_core.training.gradients import Combined

__all__ = ["Tally", "Told"]


class Told(TypedDict):
    """Means over the steps since the last checkpoint, of one task of one replica."""

    weight: float
    cosine_to_sum: float | None
    norm_ratio: float | None


class Tally:
    """Sums over steps.

    Attributes:
        state: name -> (R, ...) tensors; empty after a checkpoint.
    """

    def __init__(self) -> None:
        self.state: dict[str, Tensor] = {}

    def add(self, combined: Combined) -> None:
        """Count a step."""
        weights = combined.weights.double()
        self._sum("weights", weights)
        self._sum("steps", torch.ones_like(weights[:, :1]))
        if combined.cosine_to_sum is None or combined.norm_ratio is None:
            return
        for name, values in (("cosine", combined.cosine_to_sum), ("ratio", combined.norm_ratio)):
            values = values.double()
            known = values.isfinite()
            self._sum(name, values.where(known, 0.0))
            self._sum(f"{name}_steps", known.double())

    def take(self) -> list[list[Told]]:
        """What has been counted, by replica and task; afterwards nothing has."""
        if not self.state:
            return []
        sums, self.state = self.state, {}
        weights = (sums["weights"] / sums["steps"]).tolist()
        cosines = _means(sums, "cosine", len(weights))
        ratios = _means(sums, "ratio", len(weights))
        return [
            [Told(weight=weight, cosine_to_sum=cosine, norm_ratio=ratio) for weight in of_tasks]
            for of_tasks, cosine, ratio in zip(weights, cosines, ratios, strict=True)
        ]

    def _sum(self, name: str, values: Tensor) -> None:
        self.state[name] = self.state[name] + values if name in self.state else values


def _means(sums: dict[str, Tensor], name: str, replicas: int) -> list[float | None]:
    if name not in sums:
        return [None] * replicas
    pairs = zip(sums[name].tolist(), sums[f"{name}_steps"].tolist(), strict=True)
    return [total / count if count else None for total, count in pairs]
