"""Random Gramians of known rank and scale, for the tests of all methods."""

from collections.abc import Iterator

import torch
from torch import Tensor

KS = (2, 3, 5, 20)
SCALES = (1e-8, 1e-4, 1.0, 1e4, 1e8)


def jacobian(tasks: int, rank: int, scale: float, generator: torch.Generator) -> Tensor:
    """(K, P) float64 of the given rank; ``scale`` is the typical length of a gradient."""
    size = max(tasks, rank) + 3
    mix = torch.randn(tasks, rank, generator=generator, dtype=torch.float64)
    base, _ = torch.linalg.qr(torch.randn(size, rank, generator=generator, dtype=torch.float64))
    return scale * mix @ base.mT / rank**0.5


def jacobians(count: int, *, seed: int = 0) -> Iterator[Tensor]:
    """``count`` Jacobians: all of KS and SCALES in turn, ranks from 1 to K."""
    generator = torch.Generator().manual_seed(seed)
    for i in range(count):
        tasks = KS[i % len(KS)]
        scale = SCALES[(i // len(KS)) % len(SCALES)]
        rank = 1 + int(torch.randint(tasks, (1,), generator=generator))
        yield jacobian(tasks, rank, scale, generator)
