"""How tests compare weights: by the update that they give."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Generator, Tensor


def apart(found: Tensor, expected: Tensor, jacobian: Tensor) -> float:
    """Length of the difference of two updates, as a share of Σ |weight| ‖gradient‖.

    Weights themselves are not comparable where gradients depend on each other: other weights may
    give the same update, and a weight of a tiny gradient has no effect.
    """
    size = (expected.abs() * jacobian.norm(dim=1)).sum()
    return float(((found - expected) @ jacobian).norm() / size)


def seeded(*seeds: int) -> list[Generator]:
    """A generator for each seed."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@contextmanager
def permutations(found: Sequence[Tensor]) -> Iterator[None]:
    """Let ``torch.randperm`` return what is given, one after the other."""
    left = iter(found)
    given: Callable[..., Tensor] = lambda n: next(left)  # noqa: E731
    with patch("torch.randperm", given):
        yield
    assert next(left, None) is None
