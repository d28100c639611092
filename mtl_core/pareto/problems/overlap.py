"""Two overlapping images on one canvas: the items of MultiMNIST and its kin.

After Sabour et al. 2017 (arXiv:1710.09829, App. B.1), who overlap two digits on 36×36; with fixed
places, top left and bottom right, as Sener & Koltun 2018 (arXiv:1810.04650) and Lin et al. 2019
(Pareto MTL, arXiv:1912.12854) have them, so that which item is meant is never in doubt.
"""

import numpy as np
from numpy.typing import NDArray

from mtl_core.data.splits import hash_order

__all__ = ["CANVAS", "CLASSES", "ITEM", "SHIFT", "overlapped", "partners"]

CANVAS, ITEM = 36, 28
SHIFT = CANVAS - ITEM
"""Rows and columns that the bottom right item lies further down and to the right."""

CLASSES = 10


def overlapped(top_left: NDArray[np.uint8], bottom_right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Canvases of two items each; where both have ink, the brighter pixel counts.

    Args:
        top_left: (N, 28, 28), on rows and columns 0 to 27.
        bottom_right: (N, 28, 28), on rows and columns 8 to 35.

    Returns:
        (N, 1, 36, 36).
    """
    canvas = np.zeros((len(top_left), 1, CANVAS, CANVAS), dtype=np.uint8)
    canvas[:, 0, :ITEM, :ITEM] = top_left
    corner = canvas[:, 0, SHIFT:, SHIFT:]
    np.maximum(corner, bottom_right, out=corner)
    return canvas


def partners(count: int) -> NDArray[np.intp]:
    """Which example's item goes to the bottom right of each, a permutation of 0 to count - 1.

    Examples come in blocks of ten, one of each class. A block's partners are the block a third of
    the way further on, in an order of its own that is drawn by a hash. So both labels are balanced
    in every prefix of full blocks, neither says anything about the other, no image meets itself
    (from two blocks on), and the first third has no image at both places.

    Args:
        count: examples, a multiple of ten.
    """
    blocks = count // CLASSES
    drawn = hash_order([f"overlap {block} {place}" for block in range(blocks) for place in _PLACES])
    rank = np.empty(count, dtype=np.intp)
    rank[drawn] = np.arange(count)
    within = rank.reshape(blocks, CLASSES).argsort(axis=1)
    further = (np.arange(blocks) + max(blocks // 3, 1)) % blocks
    return (further[:, None] * CLASSES + within).ravel()


_PLACES = range(CLASSES)
