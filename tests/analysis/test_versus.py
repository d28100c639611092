from collections.abc import Callable

import pandas as pd

from mtl_core.analysis import Versus

Frame = Callable[..., pd.DataFrame]

ERROR = Versus("target", "mtl", "stl", "lower")


def test_its_sides_are_the_replicas_of_the_curve_and_of_the_baseline(replica: Frame) -> None:
    frame = pd.concat(
        [
            replica("stl", 0, [3, 2], [0.1, 0.2]),
            replica("mtl", 1, [3, 2], [0.3, 0.4]),
            replica("mtl", 0, [3, 2], [0.5, 0.6]),
            replica("mtl", 0, [3, 2], [0.7, 0.8], task="another task"),
            replica("other", 0, [3, 2], [0.9, 1.0]),
        ]
    )
    ours, theirs = ERROR.sides(frame)
    assert [seed["test_metric"].tolist() for seed in ours] == [[0.5, 0.6], [0.3, 0.4]]
    assert [seed["test_metric"].tolist() for seed in theirs] == [[0.1, 0.2]]


def test_a_side_without_rows_is_empty(replica: Frame) -> None:
    ours, theirs = ERROR.sides(replica("mtl", 0, [3, 2], [0.1, 0.2]))
    assert (len(ours), theirs) == (1, [])
    assert ERROR.sides(pd.DataFrame()) == ([], [])


def test_the_metric_has_its_own_direction_and_a_factor_that_of_the_paper() -> None:
    assert ERROR.direction_of("test_metric") == "lower"
    assert ERROR.direction_of("gradient_similarity") == "higher"
    assert Versus("target", "mtl", "stl", "higher").direction_of("sharpness") == "lower"
