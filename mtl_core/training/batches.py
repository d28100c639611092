"""Batch order: an endless stream of shuffled passes, decided by seed and task alone.

A task therefore sees the same batches with any auxiliaries, so the single-task and
multi-task trajectories of one seed are paired, and any step can be reached without a replay.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["BatchStream", "derived_seed"]


class BatchStream:
    """Indices of a task's batches for one replica.

    Args:
        seed: the replica's seed.
        task: the task's name.
        size: training examples of the task.
        batch_size: examples per batch; a batch may straddle two passes.
    """

    def __init__(self, seed: int, task: str, size: int, batch_size: int) -> None:
        self._key = f"{seed}/batches/{task}"
        self._size = size
        self._batch_size = batch_size
        self._passes: dict[int, NDArray[np.int64]] = {}

    def batch(self, step: int) -> NDArray[np.int64]:
        """(batch_size,) indices of the batch of 0-based ``step``."""
        return self.batches(step, 1).reshape(-1)

    def batches(self, first: int, count: int) -> NDArray[np.int64]:
        """(count, batch_size) indices of the batches of step ``first`` and of those after it."""
        start = first * self._batch_size
        stop = start + count * self._batch_size
        earliest, latest = start // self._size, (stop - 1) // self._size
        self._passes = {number: self._pass(number) for number in range(earliest, latest + 1)}
        if earliest == latest:
            stream = self._passes[earliest]
        else:
            stream = np.concatenate(list(self._passes.values()))
        offset = earliest * self._size
        return stream[start - offset : stop - offset].reshape(count, self._batch_size)

    def _pass(self, number: int) -> NDArray[np.int64]:
        if number in self._passes:
            return self._passes[number]
        return np.random.default_rng([derived_seed(self._key), number]).permutation(self._size)


def derived_seed(key: str) -> int:
    """A 63-bit seed for a named random choice."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
