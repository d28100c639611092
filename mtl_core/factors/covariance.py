"""Gradient covariance: how much gradients differ from example to example."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mtl_core.errors import InputError
from mtl_core.factors.base import MINI_BATCH, Factor, Site, Terms, too_few

if TYPE_CHECKING:
    from torch import Tensor

    from mtl_core.factors.vectors import Loss

__all__ = ["FACTOR", "batch_gradients", "covariance_trace", "gradient_covariance_trace"]


def gradient_covariance_trace(
    loss: "Loss",
    params: "Mapping[str, Tensor]",
    batches: "Sequence[tuple[Tensor, Tensor]]",
    *,
    dataset_size: int,
) -> "Tensor":
    """Trace of the covariance of per-example gradients ("coherence", M24 Eq. 4 and 9–13).

    ``tr Σ = (G_B − G_L) / (A_B/|B| − A_L/|L|)``: G_B is the mean squared norm of the batches'
    gradients, G_L that of their mean, and A_Z = (N − |Z|) / (N − 1) corrects for a data set of N
    from which the batches are drawn without replacement. The mean over draws is the exact trace of
    the covariance over the N examples; a single draw is, but for rounding, never negative.

    Args:
        loss: loss(params, batch) -> (*L,) mean losses.
        params: what is differentiated by, name -> (*L, ...).
        batches: n >= 2 of one size |B|, disjoint; |L| = n|B|.
        dataset_size: N, of the set that the batches were drawn from.

    Returns:
        (*L,), in squared units of the gradient.

    Raises:
        InputError: for fewer than two batches, unequal ones, or more examples than there are.
        FactorUndefined: where a gradient is not finite.
    """
    from mtl_core.factors.vectors import finite

    sizes = {len(targets) for _, targets in batches}
    if len(batches) < 2 or len(sizes) != 1:
        raise InputError(
            f"gradient covariance needs two or more batches of one size, not {len(batches)} of "
            f"the sizes {sorted(sizes)}; give more batches, or drop the last"
        )
    small = sizes.pop()
    large = len(batches) * small
    if not 1 <= small < large <= dataset_size:
        raise InputError(
            f"{len(batches)} batches of {small} examples cannot be drawn from {dataset_size} "
            "without replacement; give fewer, or the size of the set that they come from"
        )
    squares, total = batch_gradients(loss, params, batches)
    trace = covariance_trace(
        squares.mean(dim=0),
        total / len(batches),
        batches=len(batches),
        batch_size=small,
        dataset_size=dataset_size,
    )
    return finite("gradient covariance", trace.to(total.dtype))


def covariance_trace(
    mean_square: "Tensor", mean: "Tensor", *, batches: int, batch_size: int, dataset_size: int
) -> "Tensor":
    """Eq. 13 from G_B (*L) and the mean gradient (*L, P) of ``batches`` batches; (*L), double."""
    import torch

    square_of_mean = mean.square().sum(dim=-1, dtype=torch.float64)
    small, large = (
        (dataset_size - size) / (dataset_size - 1) / size
        for size in (batch_size, batches * batch_size)
    )
    return (mean_square - square_of_mean) / (small - large)


def batch_gradients(
    loss: "Loss", params: "Mapping[str, Tensor]", batches: "Sequence[tuple[Tensor, Tensor]]"
) -> "tuple[Tensor, Tensor]":
    """Squared norms of n batches' gradients, (n, *L) in double precision, and their sum (*L, P)."""
    import torch

    from mtl_core.factors.vectors import Point, groups

    point = Point(loss, params, batches[0])
    squares = []
    total = torch.zeros_like(point.vector)
    for group in groups(batches, point.vector):
        gradient = point.gradients(group)
        squares.append(gradient.square().sum(dim=-1, dtype=torch.float64))
        total += gradient.sum(dim=0)
    return torch.cat(squares), total


# In a run.


def _measured(site: Site, task: str) -> "Tensor":
    import torch

    from mtl_core.factors.vectors import finite

    index = site.partition("covariance", task)
    _, targets = site.first(task)
    if len(index) < 2:
        raise too_few(len(targets), 2 * MINI_BATCH)
    if not site.by_example:
        batches = list(site.batches(task, list(index)))
        return gradient_covariance_trace(
            site.loss(task), site.params, batches, dataset_size=len(targets)
        )
    traces = []
    for replica in range(site.replicas):
        gradients = site.true_gradients(task, replica)
        traces.append(
            covariance_trace(
                gradients.squares(index).mean(),
                gradients.means(index.reshape(1, -1))[0],
                batches=len(index),
                batch_size=MINI_BATCH,
                dataset_size=len(targets),
            )
        )
    return finite("gradient covariance", torch.stack(traces))


def _protocol(terms: Terms) -> str:
    return (
        f"trace of the gradient covariance (M24 Eq. 13), {terms.examples // MINI_BATCH} disjoint "
        f"batches of {MINI_BATCH}; {terms.on}, shuffled; {terms.theta}"
    )


FACTOR = Factor(
    title="gradient covariance",
    about="""The trace of the covariance of single examples' gradients: how little
they agree ("coherence" is its opposite).""",
    measure=_measured,
    protocol=_protocol,
    explaining=True,
)
