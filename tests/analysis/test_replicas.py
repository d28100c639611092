from collections.abc import Callable

import numpy as np
import pandas as pd

from mtl_core.analysis.replicas import replicas, seed_numbers, shared_epoch, whole, whole_numbers

Frame = Callable[..., pd.DataFrame]


def test_curves_come_as_they_appear_and_seeds_and_steps_in_order(replica: Frame) -> None:
    frame = pd.concat(
        [
            replica("z", 10, [3.0, 2.0], [0, 0]).iloc[::-1],
            replica("a", 1, [1.0], [0]),
            replica("z", 2, [5.0, 4.0], [0, 0]),
            replica("other task", 0, [9.0], [0], task="aux"),
        ]
    )
    found = replicas(frame, "target")
    assert list(found) == ["z", "a"]
    assert [seed["seed"].iloc[0] for seed in found["z"]] == [2, 10]
    assert [seed["train_loss"].tolist() for seed in found["z"]] == [[5.0, 4.0], [3.0, 2.0]]
    assert replicas(pd.DataFrame(), "target") == replicas(frame.iloc[:0], "target") == {}


def test_the_slowest_replica_sets_the_shared_epoch(replica: Frame) -> None:
    fast = replica("a", 0, [3, 2, 1], [0, 0, 0])
    assert shared_epoch([fast, replica("b", 0, [3, 2], [0, 0])]) == 1.0
    assert shared_epoch([fast]) == 2.0


def test_checkpoints_at_the_end_of_an_epoch_are_whole(replica: Frame) -> None:
    rows = replica("a", 3, [6, 5, 4, 3, 2, 1], [0] * 6, epoch=[0.0, 0.5, 1.0, 1.25, 2.0, 7 / 3])
    assert whole(rows)["epoch"].tolist() == [1.0, 2.0]
    assert whole(rows.iloc[:2]).empty, "the untrained network is at the end of none"
    losses, missing = whole_numbers(rows, "train_loss", "sharpness")
    assert losses.tolist() == [4, 2]
    assert np.isnan(missing).tolist() == [True, True]
    assert whole_numbers(rows, "train_loss", until=1.9)[0].tolist() == [4]
    assert seed_numbers([rows, replica("a", 1, [3], [0])]) == [3, 1]
