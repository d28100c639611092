"""Gradient similarity: whether a task's gradient points where the multi-task gradient goes."""

from typing import TYPE_CHECKING

from mtl_core.errors import FactorUndefined, InputError
from mtl_core.factors.base import Factor, Site, Terms

if TYPE_CHECKING:
    from torch import Tensor

    from mtl_core.factors.vectors import Point

__all__ = ["FACTOR", "gradient_similarity", "gramian", "pairwise_cosines"]

_AT_ONCE = 2**24
"""Numbers that the gradients of a run's random batches have, at most, at once."""


def gradient_similarity(gramian: "Tensor", target: int) -> "Tensor":
    """Cosine of a task's gradient and the sum of all (M24 Eq. 6).

    ``(G1)_k / sqrt(G_kk · 1ᵀG1)`` for the uniform multi-task gradient, θ as one vector.

    Args:
        gramian: (..., K, K) inner products of the task gradients.
        target: k.

    Returns:
        (...) in [−1, 1]; NaN where the task's gradient, or the sum, is zero and has no direction.

    Raises:
        InputError: when ``gramian`` is not square or has no such task.
    """
    tasks = _tasks(gramian)
    if not 0 <= target < tasks:
        raise InputError(f"target {target} is not one of the {tasks} tasks, counted from 0")
    towards = gramian.sum(dim=-1)[..., target]
    own = gramian[..., target, target]
    total = gramian.sum(dim=(-2, -1))
    return _cosine(towards, own, total)


def pairwise_cosines(gramian: "Tensor") -> "Tensor":
    """Cosines of all pairs of task gradients.

    Args:
        gramian: (..., K, K).

    Returns:
        (..., K, K) in [−1, 1], 1 on the diagonal; NaN beside a zero gradient.
    """
    _tasks(gramian)
    own = gramian.diagonal(dim1=-2, dim2=-1)
    return _cosine(gramian, own.unsqueeze(-1), own.unsqueeze(-2))


def gramian(gradients: "Tensor") -> "Tensor":
    """(..., K, P) task gradients -> (..., K, K) inner products, in double precision."""
    import torch

    double = gradients.to(torch.float64)
    inner = double @ double.mT
    return (inner + inner.mT) / 2  # some processors' products are not quite symmetric


def _cosine(inner: "Tensor", one: "Tensor", other: "Tensor") -> "Tensor":
    import torch

    # Roots before the product: squares of small gradients would leave the floating range.
    norm = one.clamp(min=0).sqrt() * other.clamp(min=0).sqrt()
    nowhere = torch.full_like(norm, torch.nan)
    return torch.where(norm > 0, (inner / norm).clamp(-1, 1), nowhere)


def _tasks(gramian: "Tensor") -> int:
    if gramian.ndim < 2 or gramian.shape[-1] != gramian.shape[-2] or not gramian.shape[-1]:
        raise InputError(f"a Gramian is (..., K, K), not {tuple(gramian.shape)}")
    return int(gramian.shape[-1])


# In a run.


def _measured(site: Site, task: str) -> "Tensor":
    import torch

    tasks = site.config.tasks
    if len(tasks) == 1:
        return torch.ones(site.replicas)
    similarities, _ = site.once(_means)
    own = similarities[:, tasks.index(task)]
    if not bool(torch.isfinite(own).all()):
        raise FactorUndefined("a gradient was zero and has no direction", own)
    return own


def _cosines(site: Site) -> "Tensor":
    _, cosines = site.once(_means)
    return cosines


def _means(site: Site) -> "tuple[Tensor, Tensor]":
    """Means over random batches: similarities (R, K) and pairwise cosines (R, K, K)."""
    import torch

    tasks, count = site.config.tasks, site.config.similarity_batches
    index = [site.random_batches(task) for task in tasks]
    points = [_point(site, task, at[0]) for task, at in zip(tasks, index, strict=True)]
    similarities = torch.zeros(site.replicas, len(tasks), dtype=torch.float64)
    cosines = torch.zeros(site.replicas, len(tasks), len(tasks), dtype=torch.float64)
    # Large batches have more pairs of examples than a gradient has numbers.
    numbers = max(points[0].vector.numel(), site.config.batch_size**2)
    together = max(1, _AT_ONCE // (numbers * len(tasks)))
    for start in range(0, count, together):
        found = _gramians(site, points, [at[start : start + together] for at in index])
        for k in range(len(tasks)):
            similarities[:, k] += gradient_similarity(found, k).sum(dim=0).cpu()
        cosines += pairwise_cosines(found).sum(dim=0).cpu()
    return similarities / count, cosines / count


def _gramians(site: Site, points: "list[Point]", index: "list[Tensor]") -> "Tensor":
    """Of m batches of each of K tasks, (m, B) numbers of examples each: (m, R, K, K)."""
    import torch

    if site.by_example:
        from mtl_core.factors.layerwise import batch_gramians

        return torch.stack(
            [
                batch_gramians(
                    [site.true_gradients(task, replica) for task in site.config.tasks], index
                )
                for replica in range(site.replicas)
            ],
            dim=1,
        )
    gradients = [
        _batch_by_batch(site, task, point, at)
        for task, point, at in zip(site.config.tasks, points, index, strict=True)
    ]
    return gramian(torch.stack(gradients, dim=-2))


def _point(site: Site, task: str, some: "Tensor") -> "Point":
    """The task's loss of batches; ``some`` are the examples of one of them."""
    from mtl_core.factors.vectors import Point

    return Point(site.loss(task), site.params, next(site.batches(task, [some])))


def _batch_by_batch(site: Site, task: str, point: "Point", index: "Tensor") -> "Tensor":
    """(m, B) numbers of examples -> (m, R, P)."""
    import torch

    from mtl_core.factors.vectors import groups

    batches = site.batches(task, list(index))
    return torch.cat([point.gradients(part) for part in groups(batches, point.vector)])


def _protocol(terms: Terms) -> str:
    return (
        f"cosine of a task's gradient and the sum of all (M24 Eq. 6), mean over "
        f"{terms.config.similarity_batches} random batches of {terms.config.batch_size} per task; "
        f"{terms.on}; {terms.theta}; a single task's is 1 by definition"
    )


FACTOR = Factor(
    title="gradient similarity",
    about="""The cosine of the target's gradient and the sum of all tasks' gradients;
1 for a single task. Low means conflict.""",
    measure=_measured,
    protocol=_protocol,
    least=-1,
    most=1,
    direction="higher",  # less conflict
    log_axis=False,
    phase="early",  # ours: the paper bins the other three only
    summary="all",  # ours: footnote 7 is silent
    every_task=True,
    cosines=_cosines,
)
