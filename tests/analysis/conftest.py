"""Trajectories written out by hand."""

from collections.abc import Callable, Sequence

import pandas as pd
import pytest

Frame = Callable[..., pd.DataFrame]


@pytest.fixture
def replica() -> Frame:
    """One seed of one curve: a checkpoint per loss, ten steps and one epoch apart.

    Further columns, such as factors, are given by name.
    """

    def make(
        curve: str,
        seed: int,
        losses: Sequence[float],
        test: Sequence[float],
        val: Sequence[float] | None = None,
        task: str = "target",
        **columns: object,
    ) -> pd.DataFrame:
        count = len(losses)
        return pd.DataFrame(
            {
                "curve": curve,
                "seed": seed,
                "task": task,
                "step": [10 * step for step in range(count)],
                "epoch": [float(epoch) for epoch in range(count)],
                "train_loss": losses,
                "val_metric": test if val is None else val,
                "test_metric": test,
                "sharpness": None,
            }
        ).assign(**columns)

    return make
