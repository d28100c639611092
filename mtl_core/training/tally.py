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
    """Sums over steps, in tensors that stay in place."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counted: set[str] = set()

    @property
    def state(self) -> dict[str, Tensor]:
        """name -> (R, ...) tensors; empty after a checkpoint."""
        return {name: total for name, total in self._sums.items() if name in self._counted}

    @state.setter
    def state(self, saved: dict[str, Tensor]) -> None:
        self._empty()
        for name, total in saved.items():
            self._sum(name, total)
        self._counted = set(saved)

    @property
    def sums(self) -> dict[str, Tensor]:
        """All tensors that a step may change, those included that hold nothing yet."""
        return self._sums

    def add(self, combined: Combined) -> None:
        """Count a step; ``note`` says that it was."""
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

    def note(self, *, gradients: bool) -> None:
        """Take down, on the host, that a step was counted, and whether task gradients were formed.

        By itself since the adding may be done by a GPU alone.
        """
        self._counted |= {"weights", "steps"}
        if gradients:
            self._counted |= {"cosine", "cosine_steps", "ratio", "ratio_steps"}

    def take(self) -> list[list[Told]]:
        """What has been counted, by replica and task; afterwards nothing has."""
        sums = self.state
        if not sums:
            return []
        weights = (sums["weights"] / sums["steps"]).tolist()
        cosines = _means(sums, "cosine", len(weights))
        ratios = _means(sums, "ratio", len(weights))
        self._empty()
        return [
            [Told(weight=weight, cosine_to_sum=cosine, norm_ratio=ratio) for weight in of_tasks]
            for of_tasks, cosine, ratio in zip(weights, cosines, ratios, strict=True)
        ]

    def _empty(self) -> None:
        for total in self._sums.values():
            total.zero_()
        self._counted = set()

    def _sum(self, name: str, values: Tensor) -> None:
        if name not in self._sums:
            self._sums[name] = torch.zeros_like(values)
        self._sums[name] += values


def _means(sums: dict[str, Tensor], name: str, replicas: int) -> list[float | None]:
    if name not in sums:
        return [None] * replicas
    pairs = zip(sums[name].tolist(), sums[f"{name}_steps"].tolist(), strict=True)
    return [total / count if count else None for total, count in pairs]
