"""Cosines: means over seeds, at steps that all seeds have reached."""

import pandas as pd
import pytest

from mtl_core.analysis import cosine_matrix, cosine_steps

TASKS = ("a", "b", "c")


@pytest.fixture
def cosines() -> pd.DataFrame:
    """Two seeds at step 8, one of them at step 16 already."""
    rows = [
        (0, 8, 1.0, "a", "b", 0.5),
        (1, 8, 1.0, "a", "b", 0.1),
        (0, 8, 1.0, "a", "c", -0.2),
        (1, 8, 1.0, "a", "c", -0.4),
        (0, 8, 1.0, "b", "c", 0.0),
        (1, 8, 1.0, "b", "c", 0.2),
        (0, 16, 2.0, "a", "b", 0.9),
    ]
    return pd.DataFrame(rows, columns=["seed", "step", "epoch", "task", "other", "cosine"])


def test_a_step_counts_once_all_seeds_have_it(cosines: pd.DataFrame) -> None:
    assert cosine_steps(cosines, 2) == {8: 1.0}
    assert cosine_steps(cosines[cosines["seed"] == 0], 1) == {8: 1.0, 16: 2.0}
    assert cosine_steps(cosines.iloc[:0], 2) == {}


def test_means_are_symmetric_with_ones_on_the_diagonal(cosines: pd.DataFrame) -> None:
    matrix = cosine_matrix(cosines, TASKS, 8)
    table = matrix.pivot(index="task", columns="other", values="cosine")
    expected = pd.DataFrame(
        [[1, 0.3, -0.3], [0.3, 1, 0.1], [-0.3, 0.1, 1]], index=TASKS, columns=TASKS
    )
    pd.testing.assert_frame_equal(table, expected, check_names=False)
    assert list(matrix["task"])[:3] == ["a", "a", "a"]


def test_what_was_not_measured_is_absent(cosines: pd.DataFrame) -> None:
    matrix = cosine_matrix(cosines, TASKS, 16)
    assert len(matrix) == 3 + 2
    assert cosine_matrix(cosines, TASKS, None).empty
    assert list(cosine_matrix(cosines, TASKS, None).columns) == ["task", "other", "cosine"]
