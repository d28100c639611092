"""Splits that depend on the images alone: not on files, their order, seeds or library versions.

The images of a data set are pooled and put in canonical order by a hash of their bytes, which is
a fixed random permutation at the same time. So the official files and any re-split of the same
images give the same tensors.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl_core.data.base import TaskData

__all__ = [
    "balanced_order",
    "balanced_split",
    "cut",
    "fingerprint",
    "hash_order",
    "permuted_labels",
    "row_digests",
]

_SALT = b"mtl-explorer split 1"
_NOISE_SALT = b"mtl-explorer label noise 1"


def balanced_order(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.intp]:
    """Canonical order of a pool in which every stretch is balanced over classes.

    Each class is ordered by hash, then the classes take turns.

    Args:
        images: (N, ...) raw images of the pool.
        labels: (N,) their classes.

    Returns:
        (N,) indices into the pool.
    """
    return _balanced(_digests(images, _SALT), labels)


def balanced_split(
    images: NDArray[np.uint8], labels: NDArray[np.int64], sizes: Sequence[int]
) -> NDArray[np.intp]:
    """The beginning of ``balanced_order``, in which no two splits have an image in common.

    Data sets have some pictures several times. Where the copies of one would be parted, those held
    out change places with the last training examples of their class that have no copies.

    Args:
        images: (N, ...) raw images of the pool.
        labels: (N,) their classes.
        sizes: of training data, then of the other splits, one after the other.

    Returns:
        (sum of sizes,) indices into the pool.
    """
    digests = _digests(images, _SALT)
    order = np.concatenate(cut(_balanced(digests, labels), sizes))
    _, image, copies = np.unique(digests[order], return_inverse=True, return_counts=True)
    piece = np.repeat(np.arange(len(sizes)), sizes)
    first, last = np.full(len(copies), len(sizes)), np.full(len(copies), -1)
    np.minimum.at(first, image, piece)
    np.maximum.at(last, image, piece)
    own, single = labels[order], (copies == 1)[image]
    free = np.flatnonzero(single & (piece == 0)).tolist()
    for held_out in np.flatnonzero((first < last)[image] & (piece > 0)).tolist():
        place = next(i for i in reversed(free) if own[i] == own[held_out])
        free.remove(place)
        order[[place, held_out]] = order[[held_out, place]]
    return order


def row_digests(rows: NDArray[Any]) -> NDArray[np.uint64]:
    """(N,) hashes of examples (N, ...) by their bytes: sorted by them, they are in random order."""
    return _digests(rows, _SALT)


def hash_order(names: Sequence[str]) -> NDArray[np.intp]:
    """A fixed random order of examples by their names or texts, in whichever order they come.

    Args:
        names: N of them; equal ones end up side by side.

    Returns:
        (N,) indices.
    """
    digests = [hashlib.blake2b(n.encode(), digest_size=8, key=_SALT).digest() for n in names]
    return np.array(sorted(range(len(names)), key=digests.__getitem__), dtype=np.intp)


def permuted_labels(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels permuted at random, once: the images get each other's labels.

    Args:
        images: (N, ...) raw images in canonical order; their bytes decide the permutation.
        labels: (N,) true classes.
    """
    return labels[np.argsort(_digests(images, _NOISE_SALT), kind="stable")]


def fingerprint(
    tasks: Mapping[str, TaskData], *, one_input: bool = False, pretrained: str = ""
) -> str:
    """16 hex digits of a hash of every example of ``tasks``, in order.

    Args:
        one_input: whether all tasks have the same inputs; they count once.
        pretrained: the digest of what their encoder starts from, which counts as well.
    """
    total = hashlib.blake2b(digest_size=8)
    for number, name in enumerate(sorted(tasks)):
        total.update(name.encode())
        for split in tasks[name]:
            if number == 0 or not one_input:
                total.update(np.ascontiguousarray(split.inputs).data)
            total.update(np.ascontiguousarray(split.targets).data)
    total.update(pretrained.encode())
    return total.hexdigest()


def cut(order: NDArray[np.intp], sizes: Sequence[int]) -> list[NDArray[np.intp]]:
    """Consecutive pieces of ``order`` of the given sizes."""
    ends = np.cumsum(sizes)
    if ends[-1] > len(order):
        raise ValueError(f"{ends[-1]} examples wanted of {len(order)}")
    return [order[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _balanced(digests: NDArray[np.uint64], labels: NDArray[np.int64]) -> NDArray[np.intp]:
    by_hash = np.lexsort((labels, digests))
    ordered = labels[by_hash]
    turn = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(ordered == label)
        turn[members] = np.arange(len(members))
    return by_hash[np.lexsort((ordered, turn))]


def _digests(images: NDArray[Any], salt: bytes) -> NDArray[np.uint64]:
    flat = np.ascontiguousarray(images).reshape(len(images), -1)
    digests = b"".join(hashlib.blake2b(row.data, digest_size=8, key=salt).digest() for row in flat)
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64)
