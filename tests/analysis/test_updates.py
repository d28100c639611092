"""Which optimizers weighted the task gradients alike."""

import pandas as pd
import pytest

from mtl_core.analysis import weights_agree


def told(*weights: tuple[float, float], seed: int = 0) -> pd.DataFrame:
    """One seed, two tasks, a step for each pair of weights."""
    return pd.DataFrame(
        [
            {"seed": seed, "step": step, "task": task, "weight": weight}
            for step, pair in enumerate(weights, start=1)
            for task, weight in zip(("a", "b"), pair, strict=True)
        ],
        columns=["seed", "step", "task", "weight"],
    )


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (told((1, 1), (1, 1)), told((1, 1), (1, 1)), "same"),
        (told((1, 1)), told((1 + 1e-8, 1)), "same"),
        (told((1, 1), (1, 1)), told((0.5, 0.5), (0.5, 0.5)), "proportional"),
        (told((0.2, 0.8)), told((0.4, 1.6)), "proportional"),
        (told((1, 1), (1, 1)), told((0.5, 0.5), (0.6, 0.6)), None),
        (told((1, 1)), told((1, 1.001)), None),
        (told((1, 1)), told((-1, -1)), None),
        (told((0, 0)), told((1, 1)), None),
        (told((0, 0)), told((0, 0)), "same"),
        (told(), told((1, 1)), None),
        (told((1, 1)), told((1, 1), seed=4), None),
        # Where only one of them was recorded nothing is said about the other.
        (told((1, 1)), told((1, 1), (5, 1)), "same"),
    ],
)
def test_agreement(one: pd.DataFrame, other: pd.DataFrame, expected: str | None) -> None:
    assert weights_agree(one, other) == expected
    assert weights_agree(other, one) == expected
