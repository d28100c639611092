"""An order of a matrix's rows in which those that are alike lie side by side."""

from collections.abc import Sequence

import numpy as np

__all__ = ["clustered"]


def clustered(rows: Sequence[Sequence[float]]) -> list[int]:
    """Places of the rows in an order that puts like beside like.

    Average linkage of Euclidean distances, with the leaves ordered so that neighbours are as near
    as they can be (Bar-Joseph, Gifford & Jaakkola 2001). Distances take the columns that both rows
    know, NaN being what is not known, scaled up to all of them.

    >>> clustered([[1, 1], [-1, -1], [0.9, 1.1], [-1.1, -0.8]])
    [0, 2, 3, 1]
    """
    from scipy.cluster import hierarchy  # type: ignore[import-untyped, unused-ignore]

    values = np.asarray(rows, dtype=float)
    if len(values) < 3:
        return list(range(len(values)))
    apart = values[:, None, :] - values[None, :, :]
    shared = np.isfinite(apart).sum(-1)
    squares = np.nansum(apart**2, axis=-1) * values.shape[1] / np.maximum(shared, 1)
    # Rows that know no column in common are as far apart as any two others are.
    squares = np.where(shared > 0, squares, squares.max())
    distances = np.sqrt(squares[np.triu_indices(len(values), 1)])
    tree = hierarchy.optimal_leaf_ordering(hierarchy.average(distances), distances)
    return [int(place) for place in hierarchy.leaves_list(tree)]
